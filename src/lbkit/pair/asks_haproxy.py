"""Whether HAProxy answers at its socket: `python3 -I -S asks_haproxy.py SOCKET` ends with 0 if it does, else with 1.

keepalived runs it every 2 seconds (`vrrp_script`), for the time when no agent watches. It asks the socket, which has
connections of its own: a HAProxy with as many clients as it takes (`maxconn`) lets nobody in anywhere else, and is well. It
imports nothing but `_socket`, and needs none of lbkit's packages.
"""

import _socket
import sys

WITHIN = 1.0  # seconds


def answers(path: str) -> bool:
    """Whether it says anything to a question, in time."""
    asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        asked.settimeout(WITHIN)
        asked.connect(path)
        asked.send(b"show version\n")
        return bool(asked.recv(64))
    except OSError:
        return False
    finally:
        asked.close()


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
