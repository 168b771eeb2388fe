"""What a scripted remote can do: each act hears one PDU, says something or ends the connection. Most are about DICOM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit_demo import pdus

if TYPE_CHECKING:
    from lbkit_demo.remote import Act, Client

EVERY_BYTE = 1 << 32  # more pieces than any message has bytes
STREAM_BLOCK = 16384
LONGEST_REQUEST = 65536
STREAM_BLOCKS = 1024  # of STREAM_BLOCK bytes: 16 MiB, so that a client without a limit fills no machine


def hear(kind: int) -> Act:
    """Read one PDU of this type, and keep it; a client that sends another kind of PDU has left the script."""

    def act(client: Client) -> None:
        header = client.read(pdus.HEADER.size)
        got, length = pdus.HEADER.unpack(header)
        if got != kind or length > LONGEST_REQUEST:
            raise ConnectionError(f"PDU of type {got} and length {length} where type {kind} was due")
        client.heard[kind] = header + client.read(length)

    return act


hear_request = hear(pdus.ASSOCIATE_RQ)
hear_echo = hear(pdus.P_DATA)
hear_release = hear(pdus.RELEASE_RQ)


def hear_first_bytes(client: Client) -> None:
    """Wait for the client's first bytes, and leave them unread."""
    client.hear_first_bytes()


def pause(seconds: float) -> Act:
    """Do nothing for a while."""
    return lambda client: client.pause(seconds)


def close(client: Client) -> None:
    """FIN."""
    client.close()


def reset(client: Client) -> None:
    """RST."""
    client.reset()


def say(message: bytes) -> Act:
    """Send these bytes."""
    return lambda client: client.say(message)


def in_pieces(pieces: int, pause: float = 0.0) -> Act:
    """From now on cut every message into pieces, each its own write, with a pause in seconds between them."""

    def act(client: Client) -> None:
        client.pieces, client.pause_between = pieces, pause

    return act


def accept(result: int = 0, syntax: str = pdus.IMPLICIT_VR_LE, extra: bytes = b"", shift: int = 0) -> Act:
    """A-ASSOCIATE-AC with one result for every proposed context; `shift` answers contexts of other ids."""

    def act(client: Client) -> None:
        request = client.heard[pdus.ASSOCIATE_RQ]
        contexts = [pdus.context_item(id_ + shift, result, syntax) for id_ in pdus.proposed_contexts(request)]
        client.say(pdus.associate_ac(request, b"".join(contexts) + pdus.user_information(extra)))

    return act


def accept_without_context(client: Client) -> None:
    """A-ASSOCIATE-AC that leaves out the presentation context that was proposed."""
    client.say(pdus.associate_ac(client.heard[pdus.ASSOCIATE_RQ], pdus.user_information()))


def accept_with_lying_item(client: Client) -> None:
    """A-ASSOCIATE-AC of an honest length, whose presentation context item claims to be longer than the PDU."""
    context, *_ = pdus.proposed_contexts(client.heard[pdus.ASSOCIATE_RQ])
    lying = b"\x21\x00\x40\x00" + pdus.context_item(context)[4:]
    client.say(pdus.associate_ac(client.heard[pdus.ASSOCIATE_RQ], lying + pdus.user_information()))


def accept_by_half(client: Client) -> None:
    """The first half of an A-ASSOCIATE-AC."""
    whole = pdus.associate_ac(client.heard[pdus.ASSOCIATE_RQ], pdus.context_item(1) + pdus.user_information())
    client.say(whole[: len(whole) // 2])


def answer(
    status: int | None = 0,
    command: int = pdus.C_ECHO_RSP,
    data_set: int = pdus.NO_DATA_SET,
    comment: str = "",
    shift: int = 0,
    then: bytes = b"",
) -> Act:
    """C-ECHO-RSP in one PDV and one write; `shift` answers another message, `then` follows in the same write."""

    def act(client: Client) -> None:
        context, message_id = pdus.context_and_message_id(client.heard[pdus.P_DATA])
        command_set = pdus.echo_response(message_id + shift, status, command, data_set, comment)
        client.say(pdus.p_data([pdus.pdv(context, pdus.COMMAND | pdus.LAST, command_set)]) + then)

    return act


def answer_in_pdvs(size: int, pdus_too: bool) -> Act:
    """C-ECHO-RSP cut into PDVs of `size` bytes, all in one P-DATA-TF or each in its own (PS3.8 annex E.1)."""

    def act(client: Client) -> None:
        context, message_id = pdus.context_and_message_id(client.heard[pdus.P_DATA])
        whole = pdus.echo_response(message_id)
        *first, last = (whole[start : start + size] for start in range(0, len(whole), size))
        pdvs = [pdus.pdv(context, pdus.COMMAND, fragment) for fragment in first]
        pdvs.append(pdus.pdv(context, pdus.COMMAND | pdus.LAST, last))
        client.say(b"".join(pdus.p_data([pdv]) for pdv in pdvs) if pdus_too else pdus.p_data(pdvs))

    return act


def answer_without_end(fragment_size: int) -> Act:
    """P-DATA-TF PDUs whose command fragment is never the last one, up to 16 MiB, then FIN."""

    def act(client: Client) -> None:
        context, _ = pdus.context_and_message_id(client.heard[pdus.P_DATA])
        one = pdus.p_data([pdus.pdv(context, pdus.COMMAND, bytes(fragment_size))])
        block = one * max(1, STREAM_BLOCK // len(one))
        for _ in range(STREAM_BLOCKS):
            client.say(block)
        client.close()

    return act
