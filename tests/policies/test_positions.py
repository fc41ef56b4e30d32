"""Where keys stand in a TOML text."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.policies.positions import KeyPath, key_places, nearest_place


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("a = 1", ("a",), (1, 1)),
        ("\n\n  a.b . c = 1", ("a", "b", "c"), (3, 9)),
        ('"a b".\'c.d\' = 1', ("a b", "c.d"), (1, 7)),
        ('"\\u0061\\n" = 1', ("a\n",), (1, 1)),
        ("[ x . y ]\n# [z]\nk = '#'\nl = 2", ("x", "y", "l"), (4, 1)),
        ("a = '''\nb = 1\n'''\nb = 2", ("b",), (4, 1)),
        ('a = """x\\"""" \nb = 2', ("b",), (2, 1)),
        ('a = """x""""" # two quotes more\nb = 2', ("b",), (2, 1)),
        ("a = [\n 1, # one\n [2,\n 3], ]\nb=1", ("a", 1, 1), (4, 2)),
        ("a = { b = { c = [{d = 1}, {d = 2}] } }", ("a", "b", "c", 1, "d"), (1, 28)),
        ("[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3", ("a", 1, "x"), (4, 1)),
        ("[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3", ("a", 1, "b", "y"), (6, 1)),
        ("[[a]]\n[[a.b]]\n[[a.b]]\nk = 1", ("a", 0, "b", 1, "k"), (4, 1)),
        ("a = 1\r\nb = 2\r\n", ("b",), (2, 1)),
        ("d = 1979-05-27T07:32:00Z # t\ne = -1.5e3", ("e",), (2, 1)),
        ("é = 1".replace("é", '"é"') + "\n\"ü\" . x = 2", ("ü", "x"), (2, 7)),
    ],
)  # fmt: skip
def test_keys_are_found(text: str, path: KeyPath, place: tuple[int, int]) -> None:
    """Tables, lists of tables, dotted and quoted keys, inline tables, strings that look like keys."""
    tomllib.loads(text)
    assert key_places(text)[path] == place


def test_the_nearest_written_part_stands_for_what_is_not_written() -> None:
    """A missing key is named at its table; names that a validator puts in between are passed over."""
    places = key_places("[a]\nb = [{c = 1}]")
    assert nearest_place(places, ("a", "b", 0, "Rule", "c")) == (2, 7)
    assert nearest_place(places, ("a", "z")) == (1, 2)
    assert nearest_place(places, ()) == (1, 1)


_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)
_VALUES = st.recursive(
    st.integers(-9, 9) | st.text(max_size=6) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_every_key_of_any_document_is_found(document: dict[str, object]) -> None:
    """Each key is found where it was written, in inline form, whatever stands in it."""
    text = "\n".join(f"{_quoted(key)} = {_written(value)}" for key, value in document.items())
    assert tomllib.loads(text) == document
    places = key_places(text)
    lines = text.split("\n")
    paths = set(_paths(document, ()))
    assert set(places) == paths
    for path, (line, column) in places.items():
        if isinstance(path[-1], str):
            assert lines[line - 1][column - 1 :].startswith(_quoted(path[-1]))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(inner) for inner in value) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _paths(value: object, path: KeyPath) -> list[KeyPath]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [found for step, item in inner for found in [(*path, step), *_paths(item, (*path, step))]]
