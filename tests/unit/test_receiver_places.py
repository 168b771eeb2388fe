"""How far each receiver has come, as it is kept."""

from __future__ import annotations

import json

import pytest
from unit.taker import known

from lbkit.state.log import Place
from lbkit.state.places import Places


@pytest.mark.parametrize(
    "content", ["", "[]", '{"segment": 0, "offset": 1}', '{"segment": "1", "offset": 2}', "[" * 9999]
)
def test_a_place_that_is_none_is_said_and_the_receiver_is_as_new(tmp_path, content, caplog):
    known(tmp_path)
    (tmp_path / "events" / "places" / "taker.json").write_text(content)
    assert Places(tmp_path).of("taker") is None
    assert "taker begins at its end" in caplog.text


def test_places_of_receivers_that_are_gone_are_forgotten(tmp_path):
    places = Places(tmp_path)
    places.forget_all_but(["mail"])
    for name in ("mail", "webhook", "old.one"):
        places.keep(name, Place(2, 17))
    being_written = places.folder / ".mail.json.lbkit-new"
    being_written.touch()
    places.forget_all_but(["mail"])
    assert being_written.exists()
    assert [places.of(name) for name in ("mail", "webhook", "old.one")] == [Place(2, 17), None, None]


def test_a_place_is_readable_json_for_the_group(tmp_path):
    Places(tmp_path).keep("mail", Place(3, 4))
    file = tmp_path / "events" / "places" / "mail.json"
    assert json.loads(file.read_text()) == {"segment": 3, "offset": 4}
    assert file.stat().st_mode & 0o777 == 0o640
