"""What `import lbkit` gives and what it costs."""

import subprocess
import sys

import pytest

import lbkit


def test_the_public_names_are_pinned():
    assert lbkit.__all__ == [
        "CannotRun",
        "Found",
        "LbkitError",
        "Misuse",
        "PluginBroken",
        "Registry",
        "Result",
        "Site",
        "SiteInvalid",
        "Target",
        "UnknownCheck",
        "acheck",
        "check",
        "check_many",
        "check_site",
        "load_site",
    ]


def test_every_public_name_is_there_and_shown():
    for name in lbkit.__all__:
        assert getattr(lbkit, name).__name__ == name
        assert getattr(lbkit, name).__doc__
        assert name in dir(lbkit)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lbkit' has no attribute 'chekc'"):
        lbkit.chekc  # noqa: B018
    assert not hasattr(lbkit, "__path_to_nowhere__")


def test_the_tree_of_errors_has_one_root():
    for name in ("Misuse", "UnknownCheck", "PluginBroken", "CannotRun"):
        assert issubclass(getattr(lbkit, name), lbkit.LbkitError)
    assert issubclass(lbkit.UnknownCheck, lbkit.Misuse)


@pytest.mark.parametrize(
    ("statement", "kept_out"),
    [
        ("import lbkit", ("pydantic", "pluggy", "asyncio", "ssl", "re", "typing", "lbkit.errors", "lbkit.checks")),
        ("from lbkit import CannotRun, Misuse", ("pydantic", "pluggy", "asyncio", "ssl", "lbkit.checks")),
        ("from lbkit import Result, Target", ("pydantic", "pluggy", "asyncio", "ssl")),
        ("from lbkit import check", ("asyncio", "ssl")),
        ("import lbkit.checks.conversation", ("pydantic", "pluggy", "enum")),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement, kept_out):
    script = f"import sys; {statement}; print(*[name for name in {kept_out} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", PATHS + script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


PATHS = f"import sys; sys.path[:] = {sys.path!r}; "
