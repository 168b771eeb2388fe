"""The whole CCW site, simulated on one machine and broken in every way a check must tell apart: `lbkit demo`."""
