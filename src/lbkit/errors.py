"""Everything that lbkit raises on purpose. A message names the thing, what is wrong with it, and what to do.

    LbkitError
    ├── Misuse          what the caller gave can't be right: an option, a target, a file (exit code 3)
    │   └── UnknownCheck    no plugin gives a check of this name
    ├── PluginBroken    a plugin was found and can't be loaded
    └── CannotRun       this machine, not the remote, kept a check from running (exit code 3)

What a remote does is never raised: it is a `Result` that says down, and why.
"""


class LbkitError(Exception):
    """The root: catch this to catch all that lbkit raises."""


class Misuse(LbkitError):
    """What the caller gave can't be right; nothing was done."""


class UnknownCheck(Misuse):
    """No plugin gives a check of this name."""


class PluginBroken(LbkitError):
    """A plugin was found and can't be loaded."""


class CannotRun(LbkitError):
    """This machine, not the remote, kept a check from running."""
