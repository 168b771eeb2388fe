"""The check `direct-routing`: whether a real server takes packets for a VIP, and leaves ARP to the balancer."""
