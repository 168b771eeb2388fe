"""What lbkit costs, against a bare Python, dcmtk, pynetdicom and C: `python -m benchmarks` from the repository root."""
