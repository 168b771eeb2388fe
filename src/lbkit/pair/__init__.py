"""The two nodes as one: VRRP by keepalived, what tells it who is to serve, the way to the other node. It knows no engine."""
