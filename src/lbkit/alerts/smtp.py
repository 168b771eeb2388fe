"""Bringing one mail away: to the smart host, or to the mail servers of the recipients' domains (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lbkit.alerts.connection import greeted
from lbkit.alerts.mx import exchanges
from lbkit.checks.conversation import printable
from lbkit.errors import CannotRun, LbkitError
from lbkit.site.reporting import Alerts
from lbkit.tls.files import password

MX_PORT = 25
_EXCHANGES = 3  # of a domain that are tried
_WORDS = 200  # characters of what a server says
_FOR_GOOD = 500  # replies from here on


class Outcome(NamedTuple):
    """Of one mail: who has it, who never will, and who may later; with why. `unanswered`: a server may have it."""

    taken: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}
    later: Mapping[str, str] = {}
    unanswered: bool = False


class Carrier:
    """For one round of mails: a server that could not be reached is not tried again, nor is a domain asked for again."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._known: dict[str, list[str]] = {}  # hosts, by way
        self._away: dict[str, str] = {}  # why, by host
        self._is_there = False  # the server that was gone to last

    def ways(self, to: Sequence[str]) -> set[str]:
        """What these recipients hang on: their domains, or "": the smart host."""
        return {"" if self._alerts.smart_host else _domain(one) for one in to}

    def send(self, sender: str, to: Sequence[str], content: str) -> Outcome:
        """Hand it over for all of them. Blocks, for a minute for each way that has to be gone at most."""
        outcomes = []
        for way in sorted(self.ways(to)):
            those = [one for one in to if not way or _domain(one) == way]
            outcomes.append(self._by(way, sender, those, content))
        refused: dict[str, str] = {}
        later: dict[str, str] = {}
        for one in outcomes:
            refused |= one.refused
            later |= one.later
        taken = tuple(who for one in outcomes for who in one.taken)
        return Outcome(taken, refused, later, any(one.unanswered for one in outcomes))

    def _by(self, way: str, sender: str, to: Sequence[str], content: str) -> Outcome:
        if way not in self._known:
            try:
                self._known[way] = self._hosts(way)[:_EXCHANGES]
            except CannotRun as e:
                self._known[way], self._away[way] = [way], str(e)
        why = f"{way} takes no mail (its MX says so)"
        for host in self._known[way]:
            if host in self._away:
                why = self._away[host]
                continue
            try:
                return self._hand_over(host, sender, to, content)
            except LbkitError as e:
                why = str(e)
                if not self._is_there:  # else it may take the next mail
                    self._away[host] = why
        if not self._known[way]:
            return Outcome(refused=dict.fromkeys(to, why))
        return Outcome(later=dict.fromkeys(to, why), unanswered=not self._away.keys() >= set(self._known[way]))

    def _hosts(self, way: str) -> list[str]:
        return [self._alerts.smart_host] if self._alerts.smart_host else exchanges(way)

    @property
    def _port(self) -> int:
        return self._alerts.smart_host_port if self._alerts.smart_host else MX_PORT

    def _hand_over(self, host: str, sender: str, to: Sequence[str], content: str) -> Outcome:
        """To one server. Raises CannotRun, Misuse where it does not come to an answer about the mail."""
        try:
            return self._talk(host, sender, to, content, self._alerts.starttls != "never")
        except ssl.SSLError as e:
            if self._is_strict:
                raise CannotRun(_no_tls(f"{host}:{self._port}", e)) from None
        except (OSError, ValueError) as e:
            raise CannotRun(_in_words(f"{host}:{self._port}", e)) from None
        try:  # one that offers TLS and can't do it
            return self._talk(host, sender, to, content, False)
        except (OSError, ValueError) as e:
            raise CannotRun(_in_words(f"{host}:{self._port}", e)) from None

    def _talk(self, host: str, sender: str, to: Sequence[str], content: str, tls: bool) -> Outcome:
        self._is_there = False
        with greeted(host, self._port) as client:
            if tls:
                self._secure(client, host)
            if self._alerts.user:
                self._log_in(client, host)
            self._is_there = True
            refused: Mapping[str, tuple[int, bytes | str]]
            try:
                refused = client.sendmail(sender, list(to), content.encode("ascii"))
            except smtplib.SMTPSenderRefused as e:
                return Outcome(later=dict.fromkeys(to, _in_words(f"{host}:{self._port}", e)))
            except smtplib.SMTPRecipientsRefused as e:  # by all of them, or it hung up (421): then nobody has it
                *_, last = e.recipients.values()
                refused = dict.fromkeys(to, last) | e.recipients
            except smtplib.SMTPDataError as e:
                refused = dict.fromkeys(to, (e.smtp_code, e.smtp_error))
        said = {one: (code, _said(code, words)) for one, (code, words) in refused.items()}
        return Outcome(
            tuple(one for one in to if one not in said),
            {one: words for one, (code, words) in said.items() if code >= _FOR_GOOD},
            {one: words for one, (code, words) in said.items() if code < _FOR_GOOD},
        )

    @property
    def _is_strict(self) -> bool:
        """Whether nothing is sent but over TLS to a server that shows who it is: a password never is."""
        return self._alerts.starttls == "required" or bool(self._alerts.user)

    def _secure(self, client: smtplib.SMTP, host: str) -> None:
        if client.has_extn("starttls"):
            try:
                client.starttls(context=self._context())
            except smtplib.SMTPResponseException:  # it can't now, and goes on without (RFC 3207 section 4)
                if self._is_strict:
                    raise
            except ssl.SSLError:
                raise
            except OSError as e:
                raise ssl.SSLError(0, str(e)) from None
            client.ehlo_or_helo_if_needed()
        elif self._is_strict:
            raise CannotRun(
                f"{host}:{self._port} does not offer STARTTLS, and nothing is sent without. Give another smart_host, or "
                'starttls = "if-offered" without user.'
            )

    def _context(self) -> ssl.SSLContext:
        if not self._is_strict:  # better than none (RFC 7435)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context
        try:
            return ssl.create_default_context(cafile=self._alerts.ca_file)
        except OSError as e:
            why = e.strerror or "it holds no certificate"
            raise CannotRun(
                f"{self._alerts.ca_file} can't be used as alerts.ca_file: {why}. Put the CAs there."
            ) from None

    def _log_in(self, client: smtplib.SMTP, host: str) -> None:
        where, user = f"{host}:{self._port}", self._alerts.user or ""
        if not isinstance(client.sock, ssl.SSLSocket):
            raise CannotRun(f'{where}: nobody logs in without TLS. Take starttls = "never" or user out of [alerts].')
        if self._alerts.password_file is None:
            raise CannotRun(f"{where}: [alerts] has user and no password_file. Add it.")
        word = password(self._alerts.password_file).decode("utf-8", "replace")
        if not (word.isascii() and user.isascii()):
            raise CannotRun(f"{where}: user or password has letters beyond ASCII, which SMTP can't take. Change them.")
        try:
            client.login(user, word)
        except smtplib.SMTPAuthenticationError as e:  # its words could have the password in them
            raise CannotRun(
                f"{where} refuses the login of {user} ({e.smtp_code}). Correct user, or {self._alerts.password_file}."
            ) from None
        except smtplib.SMTPException as e:
            if type(e) not in (smtplib.SMTPException, smtplib.SMTPNotSupportedError):
                raise
            raise CannotRun(
                f"{where} takes no login by CRAM-MD5, PLAIN or LOGIN. Take user out of [alerts], or give another smart_host."
            ) from None


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {printable(' '.join(text.split()))[:_WORDS]}"


def _no_tls(where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    else:
        why = f"TLS with it fails: {getattr(error, 'reason', None) or error}"
    return f"{where}: {why}. Correct smart_host or ca_file in [alerts], or renew its certificate."


def _in_words(where: str, error: OSError | ValueError) -> str:
    match error:
        case smtplib.SMTPResponseException() if error.smtp_code < 0:
            return (
                f"{where} speaks another language. Is that a mail server? Correct smart_host, or its port, in [alerts]."
            )
        case smtplib.SMTPSenderRefused():
            said = _said(error.smtp_code, error.smtp_error)
            return (
                f"{where} takes no mail from {error.sender}: {said}. Correct alerts.sender, or have it allowed there."
            )
        case smtplib.SMTPResponseException():
            return f"{where} takes no mail now: {_said(error.smtp_code, error.smtp_error)}. Its log says why."
        case socket.gaierror() | UnicodeError():
            return f"{where}: the name is not found. Correct it in [alerts], or repair the DNS."
        case smtplib.SMTPException() | ValueError():
            return f"{where} hangs up, or is silent for too long. Is that a mail server? Its log says why."
        case TimeoutError():
            return f"{where} does not answer. Check smart_host in [alerts], and that a firewall lets this node there."
    why = error.strerror or str(error)
    return f"{where} can't be reached: {why}. Check smart_host in [alerts], and whether it runs."
