"""What the tests of `mtls` share: when they run, and at which step each version of TLS judges a client certificate."""

import ssl
from datetime import UTC, datetime, timedelta

NOW = datetime.now(UTC).replace(microsecond=0)
PAST = NOW - timedelta(days=1)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
JUDGED = {ssl.TLSVersion.TLSv1_2: "tls", ssl.TLSVersion.TLSv1_3: "client-certificate"}


def identity(files):
    return {"cert_file": files.cert_file, "key_file": files.key_file}
