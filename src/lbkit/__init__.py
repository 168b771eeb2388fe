"""lbkit: check and operate the load balancers in front of a hospital's systems. The public names, imported when first used.

from lbkit import check

result = check("c-echo", "192.32.40.210", timeout=2)
print(result.line())
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lbkit.checks.facade import acheck as acheck
    from lbkit.checks.facade import check as check
    from lbkit.checks.facade import check_many as check_many
    from lbkit.checks.facade import check_site as check_site
    from lbkit.checks.facade import load_site as load_site
    from lbkit.checks.registry import Registry as Registry
    from lbkit.checks.result import Result as Result
    from lbkit.checks.survey import Found as Found
    from lbkit.checks.target import Target as Target
    from lbkit.errors import (
        CannotRun as CannotRun,
    )
    from lbkit.errors import (
        LbkitError as LbkitError,
    )
    from lbkit.errors import (
        Misuse as Misuse,
    )
    from lbkit.errors import (
        PluginBroken as PluginBroken,
    )
    from lbkit.errors import (
        UnknownCheck as UnknownCheck,
    )
    from lbkit.site.findings import SiteInvalid as SiteInvalid
    from lbkit.site.model import Site as Site

_HOME = {
    "CannotRun": "lbkit.errors",
    "Found": "lbkit.checks.survey",
    "LbkitError": "lbkit.errors",
    "Misuse": "lbkit.errors",
    "PluginBroken": "lbkit.errors",
    "Registry": "lbkit.checks.registry",
    "Result": "lbkit.checks.result",
    "Site": "lbkit.site.model",
    "SiteInvalid": "lbkit.site.findings",
    "Target": "lbkit.checks.target",
    "UnknownCheck": "lbkit.errors",
    "acheck": "lbkit.checks.facade",
    "check": "lbkit.checks.facade",
    "check_many": "lbkit.checks.facade",
    "check_site": "lbkit.checks.facade",
    "load_site": "lbkit.checks.facade",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'lbkit' has no attribute {name!r}")
    return getattr(__import__(_HOME[name], fromlist=[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
