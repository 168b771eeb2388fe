"""The reason codes that every check shares. They are stable: scripts and alerts match on them.

A check adds its own in `CheckKind.reasons`. `lbkit plugins -v` prints all of them.
"""

REASONS = {
    "ok": "the remote serves",
    "name-not-found": "the host name has no address",
    "dns-failed": "the name service itself gave no answer",
    "refused": "nothing listens on the port, or a firewall rejects",
    "unreachable": "there is no route to the host, or it does not answer on its own network",
    "timed-out": "no answer within the timeout, at the step that is named",
    "closed": "the remote closed the connection before it should have",
    "reset": "the remote, or something between, reset the connection",
    "not-tls": "what answers does not speak TLS",
    "tls-refused": "the remote refused the TLS session",
    "tls-failed": "the TLS session could not be set up",
    "client-certificate-refused": "the remote refused our client certificate, or wants one",
    "certificate-untrusted": "the remote's certificate is of no CA that we trust",
    "certificate-name": "the remote's certificate is for another name",
    "certificate-expired": "the remote's certificate has expired, or is not valid yet",
    "certificate-revoked": "the remote's certificate is on a revocation list of its CA",
    "revocation-unknown": "a CA of the remote's certificate has no revocation list, or one that is outdated",
}
