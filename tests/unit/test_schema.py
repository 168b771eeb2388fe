"""The JSON Schema of site files against a validator that knows nothing of lbkit: it and the loader judge alike."""

import copy
import json
import re
import tomllib
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lbkit.checks.kind import Params
from lbkit.checks.registry import Registry
from lbkit.site import profiles
from lbkit.site.load import read
from lbkit.site.schema import schema
from lbkit.state.receiver_plugins import ReceiverPlugins

KINDS = {name: Registry().kind(name).params for name in ("c-echo", "connect", "https-get")}
RECEIVERS = {"webhook": ReceiverPlugins().kind("webhook").settings}
VALIDATOR = Draft202012Validator(schema(KINDS, RECEIVERS), format_checker=Draft202012Validator.FORMAT_CHECKER)
SITES = sorted((Path(__file__).parent / "sites").glob("*.toml"))
OF_ONE_KEY = {"missing", "unknown-key", "value"}  # the rules that a schema can know; others take two keys or a file
# what plugins say in Python, which no schema could: of texts, and of two parameters together
BEYOND = {("check",), *(("check", name) for name in ("path", "host", "body", "aet", "aec"))}


def valid(document):
    return VALIDATOR.is_valid(document)


def test_the_schema_is_one_and_is_json():
    Draft202012Validator.check_schema(VALIDATOR.schema)
    assert json.loads(json.dumps(VALIDATOR.schema, allow_nan=False)) == VALIDATOR.schema


def test_the_schema_is_one_with_all_that_is_installed():
    Draft202012Validator.check_schema(schema(Registry().models(), ReceiverPlugins().models()))


def test_a_value_that_a_check_takes_in_two_forms_is_valid_in_both():
    document = tomllib.loads(profiles.text("ccw"))
    of_echo = next(vip["check"] for vip in document["vips"] if vip["check"]["kind"] == "c-echo")
    for status in ("0122H", 0x0122):
        of_echo["accept_status"] = [status]
        assert valid(document)


def test_a_parameter_with_a_type_of_its_own_can_be_resolved():
    class Colour(StrEnum):
        RED = "red"

    class LampParams(Params):
        colour: Colour = Colour.RED

    site = tomllib.loads(profiles.text("ccw"))
    site["vips"] = site["vips"][:1]
    of_lamps = Draft202012Validator(schema({"lamp": LampParams}, {}))
    for colour, right in (("red", True), ("blue", False)):
        site["vips"][0]["check"] = {"kind": "lamp", "colour": colour}
        assert of_lamps.is_valid(site) is right


def test_a_parameter_that_a_check_can_not_do_without_is_required():
    class BannerParams(Params):
        banner: str

    (kind,) = schema({"banner": BannerParams}, {})["$defs"]["CheckReference"]["oneOf"]
    assert kind["required"] == ["kind", "banner"]


def test_every_key_and_parameter_says_what_it_is():
    for name, table in VALIDATOR.schema["$defs"].items():
        assert table.get("description"), name
    for kind in VALIDATOR.schema["$defs"]["CheckReference"]["oneOf"]:
        for name, parameter in kind["properties"].items():
            assert name == "kind" or parameter.get("description"), name
    for table in VALIDATOR.schema["$defs"]["Alerts"]["properties"]["receivers"]["properties"].values():
        assert all(one.get("description") for one in table["properties"].values())


def test_the_profile_is_valid():
    assert list(VALIDATOR.iter_errors(tomllib.loads(profiles.text("ccw")))) == []


@pytest.mark.parametrize("file", [file for file in SITES if not file.stem.startswith("syntax")], ids=lambda f: f.stem)
def test_a_site_is_invalid_exactly_where_one_key_alone_is_wrong(file):
    text = file.read_text(encoding="utf-8")
    of_one_key = re.search(
        r"^#! .* \((missing|unknown-key|value|unknown-check|unknown-receiver)\)$", text, re.MULTILINE
    )
    assert valid(tomllib.loads(text)) == (of_one_key is None)


# --- sites with one key changed -------------------------------------------------------------------------------------

PROFILE = tomllib.loads(profiles.text("ccw"))
VALUES = st.one_of(
    st.none(),  # the key is taken out
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 100, 101, 255, 256, 257, 3600, 65535, 65536, 1 << 70]),
    st.sampled_from([0.5, 1e300]),
    st.sampled_from(["", "a", "-", "A b", "é", "\0", "x" * 63, "x" * 64, "x" * 300]),
    st.sampled_from(["tcp", "http", "first", "none", "l4-dr", "connect", "equals", "5s", "0s1ms", "5", "5S"]),
    st.sampled_from(["192.0.2.1", "2001:db8::1", "192.0.2", "::1%eth0", "a@b", "a@b@c", "a\x1b@b"]),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from([443, 80, "x", 0]), max_size=66),
    st.lists(st.just({"label": "x", "address": "192.0.2.1"}), max_size=3),
    st.fixed_dictionaries({"kind": st.sampled_from(["connect", "c-echo", "https-get", "none"])}),
    st.fixed_dictionaries({"mode": st.sampled_from(["none", "source-ip", "x"])}),
)
ADDED = [
    "port",
    "tls",
    "zzz",
    "kind",
    "weight",
    "timeout",
    "rise",
    "interval",
    "fallback",
    "alert_to",
    "verify",
    "status",
]


def tables(value, path=()):
    """The paths of all tables and lists in a document."""
    if isinstance(value, dict | list):
        yield path
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tables(child, (*path, key))


@st.composite
def changed(draw):
    document = copy.deepcopy(PROFILE)
    document["vips"] = [document["vips"][n] for n in (1, 4, 5)]
    path = draw(st.sampled_from(sorted(tables(document), key=str)))
    table = document
    for part in path:
        table = table[part]
    keys = range(len(table)) if isinstance(table, list) else sorted({*table, *ADDED})
    assume(keys)
    key, value = draw(st.sampled_from(keys)), draw(VALUES)
    if value is not None:
        table[key] = value
    elif isinstance(table, list) or key in table:
        del table[key]
    return document


def as_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


@settings(max_examples=300, deadline=None)
@given(document=changed())
def test_a_changed_site_is_valid_exactly_where_the_loader_finds_no_key_wrong_by_itself(document, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "changed.toml"
    path.write_text("".join(f"{key} = {as_toml(value)}\n" for key, value in document.items()), encoding="utf-8")
    reading = read(path, KINDS)
    known = {vip.check.kind for vip in reading.draft.vips.values()} <= KINDS.keys()
    assume(not any(problem.key[2:] in BEYOND for problem in reading.problems))
    assert valid(document) == (known and not any(problem.rule in OF_ONE_KEY for problem in reading.problems))
