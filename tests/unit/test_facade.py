"""`check`, `acheck` and `check_many`: checks by name, for programs that embed lbkit."""

import asyncio

import pytest
from unit.remotes import silent

from lbkit import Misuse, UnknownCheck, acheck, check, check_many

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


def test_checks_by_name_block_await_and_stream(listener):
    remote = listener(silent)

    async def all_ways():
        one = await acheck("connect", remote.target)
        many = [result async for result in check_many("connect", [remote.target] * 2)]
        return [check("connect", remote.target), one, *many]

    assert [(result.check, result.target, result.status) for result in asyncio.run(all_ways())] == [
        ("connect", remote.target, "up")
    ] * 4


def test_misuse_is_raised_before_anything_is_run(listener):
    remote = listener(silent)

    async def last_is_wrong():
        async for _ in check_many("connect", [remote.target, "not a host:1"]):
            pytest.fail("it ran")

    with pytest.raises(Misuse, match="not a host"):
        asyncio.run(last_is_wrong())
    for wrong in (lambda: check("chekc", remote.target), lambda: asyncio.run(acheck("chekc", remote.target))):
        with pytest.raises(UnknownCheck):
            wrong()
    with pytest.raises(Misuse, match="no port is given"):
        check("connect", "127.0.0.1")
    with pytest.raises(Misuse, match="timeout"):
        check("connect", remote.target, timeout=-1)
    assert remote.accepted == 0
