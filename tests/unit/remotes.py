"""What the listener of lbkit.testing plays."""


def replies(*answers):
    """A remote that reads once before each answer, then waits until its client has left."""

    def script(client):
        for answer in answers:
            if not client.recv(65536):
                return
            client.sendall(answer)
        while client.recv(65536):
            pass

    return script


def silent(client):
    """A remote that takes connections and says nothing."""
    replies()(client)
