"""The engine of layer 4: Linux IPVS, in the kernel. Whoever needs its table or carries VIPs on it comes here."""
