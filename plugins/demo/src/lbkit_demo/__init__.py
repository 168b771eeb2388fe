"""Simulated DICOM servers that fail in every way a check must tell apart, and the command `lbkit demo`."""
