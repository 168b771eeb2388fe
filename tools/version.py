"""`python tools/version.py 0.2.0`: one version for every member of the workspace and every pin between them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Rewrite the pyproject files; exit code 3 for what is no version."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        print(f"{version!r} is no version. Write `make version VERSION=0.2.0`.", file=sys.stderr)
        return 3
    for path in (ROOT / "pyproject.toml", ROOT / "cli/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))):
        text = path.read_text()
        text = re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', text, count=1)
        text = re.sub(r'("lbkit-[a-z-]+(?:\[[a-z,]+\])?==)[^"]+"', rf'\g<1>{version}"', text)
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
