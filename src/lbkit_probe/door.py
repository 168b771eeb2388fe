"""`lbkit-probe NAME VIP VPORT RIP RPORT [--option …]`: one check, started anew each time by another daemon.

Exit 0: up. Exit 1: anything else, misuse and crashes included, because keepalived reads 2 to 255 as healthy. One line on
stdout says why. Only C modules are imported, and each check's own `lbkit_probe.<name>`, which gives OPTIONS (name:
default; the type of the default is the type of the option) and `protocol(options, host, port)`; tests hold it equal to the
model behind `lbkit check`. TLS_OPTIONS come beside them; a check that can do with and without TLS has the switch `tls`.
"""

import sys

from lbkit.errors import LbkitError, Misuse, UnknownCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.blocking import Run, Tls
    from lbkit.checks.context import Terms

USAGE = "lbkit-probe NAME VIP VPORT RIP RPORT [--option value …]"
COMMON: "dict[str, Any]" = {"timeout": 5.0}
TLS_OPTIONS: "dict[str, Any]" = {
    "ca-file": "",
    "crl-file": "",
    "cert-file": "",
    "key-file": "",
    "key-password-file": "",
    "server-name": "",
    "verify": True,
    "verify-name": True,
}


def main(argv: list[str]) -> int:
    """Run one check; returns the exit code, 0 or 1."""
    try:
        run, name, where = _probe(argv)
    except LbkitError as e:
        _say(sys.stderr, f"lbkit-probe: {e}\n")
        return 1
    except KeyboardInterrupt:
        _say(sys.stderr, "lbkit-probe: interrupted before a verdict.\n")
        return 1
    except BaseException as e:
        _say(sys.stderr, f"lbkit-probe: {type(e).__name__}: {e}. This is a defect of lbkit; please report it.\n")
        return 1
    outcome = run.outcome
    status = "up" if outcome.up else f"down at {outcome.step} ({outcome.reason})"
    _say(sys.stdout, f"{name} {where} {status} {run.duration * 1000:.2f} ms: {outcome.message}\n")
    return 0 if outcome.up else 1


def _say(stream: "Any", line: str) -> None:
    """The verdict must not hang on who listens: HAProxy, run quietly, closes our outputs; a locale may lack a character."""
    if stream is not None:
        stream.reconfigure(errors="replace")
        stream.write(line)


def _probe(argv: list[str]) -> "tuple[Run, str, str]":
    from lbkit.checks import blocking

    if len(argv) < 5:
        raise Misuse(f"{len(argv)} arguments are given, at least 5 are needed: {USAGE}.")
    name, _vip, vport, rip, rport = argv[:5]
    module = _module(name)
    options = _options(argv[5:], {**COMMON, **TLS_OPTIONS, **module.OPTIONS})
    port = _port(rport) or _port(vport)
    if not port:
        raise Misuse(f"neither RPORT {rport!r} nor VPORT {vport!r} is a port: {USAGE}.")
    if not rip or rip == "NOT_USED":
        raise Misuse(f"RIP {rip!r} is no address: {USAGE}.")
    run = blocking.run(rip, port, options["timeout"], module.protocol(options, rip, port), _tls(options))
    return run, name, f"[{rip}]:{port}" if ":" in rip else f"{rip}:{port}"


def _module(name: str) -> "Any":
    if not name.replace("-", "").isalnum():
        raise UnknownCheck(f"no check is called {name!r}.")
    path = "lbkit_probe." + name.replace("-", "_")
    try:
        module = __import__(path, None, None, ["OPTIONS"])
    except ImportError as e:
        if e.name != path:
            raise
        raise UnknownCheck(f"no check is called {name!r}. Install its plugin.") from None
    if not hasattr(module, "OPTIONS"):
        raise UnknownCheck(f"no check is called {name!r}.")
    return module


def _port(given: str) -> int:
    """A port, or 0 for what HAProxy and ldirectord write where there is none."""
    if given in ("", "0", "NOT_USED"):
        return 0
    if not given.isascii() or not given.isdigit() or int(given) > 65535:
        raise Misuse(f"{given!r} is no port. A port is a number from 1 to 65535.")
    return int(given)


def _options(given: list[str], defaults: "dict[str, Any]") -> "dict[str, Any]":
    options = dict(defaults)
    rest = iter(given)
    for word in rest:
        flag, equals, value = word.partition("=")
        name, on = (flag[5:], False) if flag.startswith("--no-") else (flag[2:], True)
        if not flag.startswith("--") or name not in defaults:
            raise Misuse(f"{flag!r} is no option of this check. There are: --{', --'.join(sorted(defaults))}.")
        default = defaults[name]
        if isinstance(default, bool):
            if equals:
                raise Misuse(f"{flag} takes no value.")
            options[name] = on
            continue
        taken = value if equals else next(rest, None)
        if taken is None or not on:
            raise Misuse(f"{flag} is not used like this: give --{name} VALUE.")
        options[name] = _typed(flag, taken, options[name])
    if not 0 < options["timeout"] <= 3600:
        raise Misuse(f"--timeout: {options['timeout']:g} is out of range. Give seconds, above 0 and up to 3600.")
    return options


def _typed(flag: str, value: str, default: object) -> object:
    """The value as the type of its default; a tuple collects."""
    if isinstance(default, (float, int)):
        try:
            return type(default)(value)
        except ValueError:
            raise Misuse(f"{flag}: {value!r} is no number.") from None
    if isinstance(default, tuple):
        return (*default, value)
    return value


def terms(options: "dict[str, Any]") -> "Terms":
    """What these options say about TLS."""
    from lbkit.checks.context import Terms

    return Terms(**{name.replace("-", "_"): options[name] for name in TLS_OPTIONS})


def _tls(options: "dict[str, Any]") -> "Tls | None":
    if "tls" not in options:
        return None  # this check's protocol speaks TLS by itself
    if options["tls"]:
        from lbkit.checks.tls import layer

        return layer(terms(options))
    given = [f"--{name}" for name, default in TLS_OPTIONS.items() if default == "" and options[name]]
    if given:
        raise Misuse(f"{' and '.join(given)}: no use without TLS. Give --tls too.")
    return None


def leave(code: int) -> None:
    """End here: the interpreter's own ending takes longer, and can turn a full disk into exit 120."""
    import posix

    try:
        sys.stdout.flush()
    except OSError:
        pass
    finally:
        posix._exit(code)
