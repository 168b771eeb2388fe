"""httpx's way: one `AsyncClient` and one SSL context for all, a connection for each target."""

import asyncio
import ssl
from collections import Counter

import httpx

from benchmarks.clients import Job


def trust(job: Job) -> ssl.SSLContext:
    """What lbkit is given in files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(job.options["ca_file"])
    context.load_cert_chain(job.options["cert_file"], job.options["key_file"])
    return context


async def check_all_targets(job: Job, context: ssl.SSLContext) -> Counter[str]:
    """Ask all; `server_name` is sent and verified, and is the Host header, as lbkit does it."""
    name = job.options["server_name"]
    places = asyncio.Semaphore(job.at_once)
    limits = httpx.Limits(max_connections=job.at_once, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        verify=context, limits=limits, timeout=job.timeout_s, trust_env=False, headers={"Accept-Encoding": "identity"}
    ) as client:

        async def check(target: str) -> str:
            host = {"Host": f"{name}:{target.partition(':')[2]}"}
            async with places:
                try:
                    answer = await client.get(
                        f"https://{target}/api/health/", headers=host, extensions={"sni_hostname": name}
                    )
                except httpx.HTTPError as error:
                    return type(error).__name__
            return (
                "up" if answer.status_code == 200 and answer.text.strip() == "allServicesOperative" else "wrong answer"
            )

        return Counter(await asyncio.gather(*map(check, job.targets)))


def check_all(job: Job) -> Counter[str]:
    """Check every target and count the outcomes."""
    return asyncio.run(check_all_targets(job, trust(job)))
