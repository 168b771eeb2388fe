"""Everything that lbkit raises on purpose. A message names the thing, what is wrong with it, and what to do.

    LbkitError                  the number is the exit code of the command that ends with it
    ├── Misuse              3   what the caller gave can't be right: an option, a target, a file
    │   └── UnknownCheck        no plugin gives a check of this name
    ├── PluginBroken        3   a plugin was found and can't be loaded
    ├── CannotRun           3   this machine, not the remote, kept a check from running
    ├── EngineError         2   an engine did not do what it was asked
    │   ├── NotRunning          nobody answers where it is to be reached
    │   ├── NotAnswering        somebody is there, and is silent: what was asked may still be done
    │   ├── NotAllowed          it answers, and this caller may not ask that of it
    │   ├── NotThere            it knows no such server, backend, table or entry
    │   ├── AlreadyThere        it has that one already
    │   └── NotDone             it said yes, and reading back shows that it is not so
    ├── RolledBack          2   a new configuration was refused; what was there before is in force again
    ├── Refused             4   it would hurt, and nobody has said --force
    └── WaitRanOut          5   what was asked for is done, and what was waited for did not come about in time

What a remote of a check does is never raised: it is a `Result` that says down, and why.
"""


class LbkitError(Exception):
    """The root: catch this to catch all that lbkit raises."""

    exit_code = 3


class Misuse(LbkitError):
    """What the caller gave can't be right; nothing was done."""


class UnknownCheck(Misuse):
    """No plugin gives a check of this name."""


class PluginBroken(LbkitError):
    """A plugin was found and can't be loaded."""


class CannotRun(LbkitError):
    """This machine, not the remote, kept a check from running."""


class EngineError(LbkitError):
    """An engine did not do what it was asked."""

    exit_code = 2


class NotRunning(EngineError):
    """Nobody answers where the engine is to be reached."""


class NotAnswering(EngineError):
    """The agent is there and is silent: it hangs. What it was asked may still be done."""


class NotAllowed(EngineError):
    """The engine answers, and this caller may not ask that of it."""


class NotThere(EngineError):
    """The engine knows no such server, backend, table or entry."""


class AlreadyThere(EngineError):
    """The engine has a service or destination of that name already."""


class NotDone(EngineError):
    """The engine said yes, and reading back shows that it is not so."""


class RolledBack(LbkitError):
    """A new configuration was refused or did not hold; what was there before is in force again."""

    exit_code = 2


class Refused(LbkitError):
    """It would hurt, and nobody has said --force; nothing was done."""

    exit_code = 4


class WaitRanOut(LbkitError):
    """What was asked for is done, and what was waited for did not come about in time."""

    exit_code = 5
