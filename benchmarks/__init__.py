"""Benchmarks of lbkit, against what else does the same: `python -m benchmarks`. They share what the tests run against."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
