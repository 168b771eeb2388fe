"""All members of the workspace have one version and pin one another to it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "pyproject.toml", ROOT / "cli/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
MEMBERS = {
    project["name"]: project
    for project in (tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in FILES)
}


def needs_of(project):
    optional = project.get("optional-dependencies", {}).values()
    return [*project.get("dependencies", ()), *(need for needs in optional for need in needs)]


def test_the_members_are_known():
    assert {"lbkit-core", "lbkit-cli", "lbkit-dicom-echo", "lbkit-demo"} <= set(MEMBERS)


def test_all_members_have_one_version():
    assert len({project["version"] for project in MEMBERS.values()}) == 1


def test_members_pin_one_another_to_that_version():
    version = MEMBERS["lbkit-core"]["version"]
    pins = [need for project in MEMBERS.values() for need in needs_of(project) if need.startswith("lbkit")]
    assert len(pins) >= len(MEMBERS) - 1
    for pin in pins:
        name, pinned = re.fullmatch(r"(lbkit-[a-z-]+)(?:\[[a-z,]+\])?==(\S+)", pin).groups()
        assert name in MEMBERS
        assert pinned == version


def test_all_members_take_the_same_pythons_and_licence():
    assert {(project["requires-python"], project["license"]) for project in MEMBERS.values()} == {
        (">=3.11", "Apache-2.0")
    }
