"""What a remote that has let us in is worth: up, up with warnings, or down, by how long the certificates still last."""

from lbkit.checks.conversation import Outcome, down, up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit_mtls.prepared import Found, Prepared

_WHOSE = {"remote": "the remote's certificate", "ca": "the CA certificate", "client": "the client certificate"}


def verdict(prepared: "Prepared", found: "Found", silence: str = "") -> Outcome:
    """`silence`: the sentence that the remote has said nothing since the handshake, if so."""
    details = found.details
    notes = _notes(found, silence)
    if notes:
        details["notes"] = notes
    if prepared.expect_refusal:
        from lbkit_mtls import words

        return words.not_refused(found)
    dated = [one for one in details["certificates"] if one["days_left"] is not None]
    dated.sort(key=lambda one: one["days_left"])
    short = [f"{_ends(one)}. Renew it." for one in dated if one["days_left"] < prepared.warning_days]
    if dated and dated[0]["days_left"] < prepared.critical_days:
        return down("certificate-expiring", " ".join(short), details=details)
    if short:
        details["warnings"] = short
    until = f"; {_ends(dated[0])}" if dated and not short else ""
    return up(f"lets us in over {details['tls']['version']}{until}", details=details)


def _notes(found: "Found", silence: str) -> list[str]:
    notes = []
    if silence:
        notes.append(f"{silence} after the handshake: taken as let in, since a refusal comes at once")
    if not found.asked and any(one["whose"] == "client" for one in found.details["certificates"]):
        notes.append(
            "the remote did not ask for our certificate: --expect-refusal without one tells whether it ever does"
        )
    return notes


def _ends(one: "dict[str, Any]") -> str:
    left = one["days_left"]
    when = f"expired {-left} days ago" if left < 0 else f"expires in {left} days"
    return f"{_WHOSE[one['whose']]} ({one['subject']}) {when.replace(' 1 days', ' 1 day')}, on {one['not_after'][:10]}"
