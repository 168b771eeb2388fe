"""Lines of key paths: documents by hand, documents written in every style with their places, and mutated ones."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.site.places import DEEPEST, places

SITE = """\
# The site
name = "vip = 1" # not = a key

[pair."node.a"]
address.v4 = '192.0.2.1'

[[vip]]
label = 'CCG'
checks = [
    # c-echo = 1
    { kind = "c-echo", 'aec'."a b" = "LB" }, [1, 2],

    2024-01-01 07:00:00,
]
text = \"\"\"
[not]
a = table \\\"""
\"\"\"\"\"
port = 104

[[vip.servers]]
[ vip . servers . check ]
kind = "mtls"
[[vip.servers]]
[[vip]]
[[vip.servers]]
label = ''
"""

LINES = {
    ("name",): 2,
    ("pair",): 4,
    ("pair", "node.a"): 4,
    ("pair", "node.a", "address"): 5,
    ("pair", "node.a", "address", "v4"): 5,
    ("vip",): 7,
    ("vip", 0): 7,
    ("vip", 0, "label"): 8,
    ("vip", 0, "checks"): 9,
    ("vip", 0, "checks", 0): 11,
    ("vip", 0, "checks", 0, "kind"): 11,
    ("vip", 0, "checks", 0, "aec"): 11,
    ("vip", 0, "checks", 0, "aec", "a b"): 11,
    ("vip", 0, "checks", 1): 11,
    ("vip", 0, "checks", 1, 0): 11,
    ("vip", 0, "checks", 1, 1): 11,
    ("vip", 0, "checks", 2): 13,
    ("vip", 0, "text"): 15,
    ("vip", 0, "port"): 19,
    ("vip", 0, "servers"): 21,
    ("vip", 0, "servers", 0): 21,
    ("vip", 0, "servers", 0, "check"): 22,
    ("vip", 0, "servers", 0, "check", "kind"): 23,
    ("vip", 0, "servers", 1): 24,
    ("vip", 1): 25,
    ("vip", 1, "servers"): 26,
    ("vip", 1, "servers", 0): 26,
    ("vip", 1, "servers", 0, "label"): 27,
}


def paths(value, path=()):
    """Every key path of what tomllib read."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inside:
        yield (*path, key)
        yield from paths(child, (*path, key))


def test_each_key_table_and_element_of_a_site_has_its_line():
    assert places(SITE) == LINES


def test_windows_line_ends_count_once():
    assert places(SITE.replace("\n", "\r\n")) == LINES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# a = 1", {}),
        ("[a.b]\n[a]", {("a",): 2, ("a", "b"): 1}),  # a header of its own is where a table stands
        ("[a.b]\n[a.c]", {("a",): 1, ("a", "b"): 1, ("a", "c"): 2}),  # without one, what made it first is
        ("a=[\n]", {("a",): 1}),
        ("a=[1,\n]", {("a",): 1, ("a", 0): 1}),
        ("a=[{},\n[]]", {("a",): 1, ("a", 0): 1, ("a", 1): 2}),
        ("a=07:32:00# b = 2", {("a",): 1}),
        ('"" = ""\nb = 1', {("",): 1, ("b",): 2}),
        ("a = ''''''''\nb = 1", {("a",): 1, ("b",): 2}),
        ("a = '''x'''' # '[b]", {("a",): 1}),
        ('a = """"\n" \\""""\nb = 1', {("a",): 1, ("b",): 3}),
        ("\"\\u0061\\\"\" = '\\'\n'\\' = 1", {('a"',): 1, ("\\",): 2}),
        ("1.2 = 3.4\ntrue = +1e5", {("1",): 1, ("1", "2"): 1, ("true",): 2}),
        ('a = "\u2028\x85"\nb = 1', {("a",): 1, ("b",): 2}),  # these end no line
    ],
)
def test_a_document_of_one_oddity_has_its_lines(text, found):
    assert set(found) == set(paths(tomllib.loads(text)))
    assert places(text) == found


def test_nesting_as_deep_as_tomllib_takes_is_no_trouble():
    assert len(places("a = " + "[" * 300 + "]" * 300)) == 300


# --- documents written in every style -------------------------------------------------------------------------------

CHARACTERS = st.sampled_from(
    ["a", "B", "7", "-", "_", " ", ".", "=", "#", "[", "]", "{", "}", ",", "'", '"', "\\", "é"]
)
KEYS = st.text(CHARACTERS, max_size=4)
SCALARS = st.one_of(
    st.sampled_from(["1", "-0.5e3", "inf", "true", "0x1F", "1979-05-27", "07:32:00", "1979-05-27 07:32:00Z"]),
    st.text(st.one_of(CHARACTERS, st.just("\n")), max_size=12).map(lambda text: ("text", text)),
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
    ),
    max_size=4,
)


class Writer:
    """Writes a tree as TOML, each part in a style that is drawn, and notes on which line it put each path."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.found = {}

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def put(self, text, path=None):
        if path is not None:
            self.found.setdefault(path, self.text.count("\n") + 1)
        self.text += text

    def keys(self, path, names):
        for n, name in enumerate(names):
            path += (name,)
            self.put(self.pick(".", " . ", "\t.") if n else "")
            self.put(self.key(name), path)
        return path

    def key(self, name):
        styles = [basic(name)]
        if name and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum():
            styles.append(name)
        if "'" not in name:
            styles.append(f"'{name}'")
        return self.pick(*styles)

    def line_end(self):
        self.put(self.pick("\n", "\r\n", " # [c] = '\n", "\n\n", '# """\n'))

    def table(self, tree, path, header):
        """A table's keys, then the tables and arrays of tables below it that get headers; `header`: its names."""
        later = []
        for name, value in tree.items():
            tables = isinstance(value, dict) or (
                isinstance(value, list) and value and all(isinstance(element, dict) for element in value)
            )
            if tables and self.pick(True, False):
                later.append((name, value))
                continue
            self.put(self.pick("", "  ", "\t"))
            self.assignment(name, value, path)
            self.line_end()
        for name, value in later:
            for index, element in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(value, list):
                    opening, closing, below = "[[", "]]", (*path, name, index)
                else:
                    opening, closing, below = "[", "]", (*path, name)
                self.put(opening + self.pick("", " "))
                line = self.text.count("\n") + 1
                self.keys_of_header([*header, name], path)
                self.found.setdefault(below, line)
                self.put(self.pick("", " ") + closing)
                self.line_end()
                self.table(element, below, [*header, name])

    def keys_of_header(self, names, path):
        self.found.setdefault((*path, names[-1]), self.text.count("\n") + 1)
        self.put(self.pick(".", " . ").join(map(self.key, names)))

    def assignment(self, name, value, path):
        names = [name]
        while isinstance(value, dict) and len(value) == 1 and self.pick(True, False):
            ((inner, value),) = value.items()
            names.append(inner)
        path = self.keys(path, names)
        self.put(self.pick("=", " = "))
        self.value(value, path)

    def value(self, value, path):
        if isinstance(value, list):
            self.array(value, path)
        elif isinstance(value, dict):
            self.put("{ ")
            for n, (name, inner) in enumerate(value.items()):
                self.put(", " if n else "")
                self.assignment(name, inner, path)
            self.put(" }")
        elif isinstance(value, tuple):
            self.put(self.string(value[1]))
        else:
            self.put(value)

    def array(self, elements, path):
        self.put("[")
        for index, element in enumerate(elements):
            self.put(self.pick("", "\n", " ", "\n  # ] , =\n"))
            self.put("", (*path, index))
            self.value(element, (*path, index))
            self.put(self.pick("", "\n", " "))
            self.put("," if index + 1 < len(elements) else self.pick("", ",", ",\n"))
        self.put("]")

    def string(self, text):
        styles = [basic(text), '"""' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""']
        if "'" not in text and "\n" not in text:
            styles.append(f"'{text}'")
        if "'''" not in text and not text.endswith("'"):
            styles.append(f"'''{text}'''")
        if '"""' not in text and "\\" not in text:
            styles.append(f'"""\n{text}"""')
        return self.pick(*styles)


def basic(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("é", "\\u00e9") + '"'


@st.composite
def documents(draw):
    writer = Writer(draw)
    writer.table(draw(TREES), (), [])
    return writer.text, writer.found


@given(documents())
def test_in_a_document_of_any_style_each_path_is_where_it_was_written(document):
    text, found = document
    assert set(found) == set(paths(tomllib.loads(text)))
    assert places(text) == found


PIECES = st.sampled_from(
    [*"\"'[]{},.=#\n \\a1", '"""', "'''", "[[", "]]", "a = 1\n", "[a]\n", "[[a]]\n", "a.b = 1\n", "[1]", '# "']
)


@settings(max_examples=500)
@given(
    st.one_of(st.just(SITE), documents().map(lambda document: document[0])),
    st.lists(st.tuples(st.integers(0), st.integers(0, 9), PIECES), min_size=1, max_size=2),
)
def test_of_a_mutated_document_that_tomllib_takes_the_paths_are_those_that_tomllib_gives(text, changes):
    for at, length, piece in changes:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + length :]
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(places(text)) == set(paths(read))


def test_a_key_of_very_many_parts_costs_no_memory_beyond_the_deepest_place():
    found = places(".".join("a" * 5_000) + " = 1\n")
    assert max(map(len, found)) == DEEPEST
