"""nginx and HAProxy as child processes, with a configuration that a test writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.remotes import program, serving

from lbkit.testing import Identity

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""


@contextmanager
def running_nginx(folder: Path, http: str, port: int) -> Iterator[None]:
    """nginx in one process. `http`: what stands in its block of that name; `port`: one on which it then listens."""
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, http=http))
    command = [program("nginx", "nginx-light"), "-p", str(folder), "-c", str(file), "-e", "stderr"]
    with serving(port, *command, folder=folder):
        yield


@contextmanager
def running_haproxy(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """HAProxy in the foreground; `port`: one on which it then listens."""
    file = folder / "haproxy.cfg"
    file.write_text(configuration)
    with serving(port, program("haproxy", "haproxy"), "-db", "-f", str(file), folder=folder):
        yield


def bundle(folder: Path, name: str, identity: Identity) -> str:
    """The path of a certificate and its key in one file, as HAProxy takes them."""
    file = folder / f"{name}.pem"
    file.write_text(Path(identity.cert_file).read_text() + Path(identity.key_file).read_text())
    return str(file)
