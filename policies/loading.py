"""`assay.toml`: from texts to settings, with every mistake named by its place. No file is read here."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from assay.errors import ConfigurationError
from assay.policies.consistency import inconsistencies
from assay.policies.defaults import ROLES, default_settings, with_defaults
from assay.policies.fields import known_keys
from assay.policies.isolation import refusal
from assay.policies.layers import BUILT_IN, Layer, combine
from assay.policies.positions import KeyPath, Place, key_places, nearest_place
from assay.policies.presets import PRESETS
from assay.policies.prices import loosened_prices
from assay.policies.settings import Settings
from assay.policies.tightness import TIGHTNESS, pattern_of

__all__ = [
    "Policy",
    "combine_layers",
    "default_settings",
    "locate",
    "parse_settings",
    "read_layer",
    "spoken_layer",
]

_SHOWN: Final = 10
_LARGEST: Final = 1 << 63
_NEXT: Final = "mend the file at the place named; docs/settings.md lists every setting"
_EXPECTED: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_TOML_NAMES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}


def parse_settings(text: str, *, name: str, roles: Collection[str] = (), tools: Collection[str] = ()) -> Settings:
    """Return the settings that a text in TOML gives, the four roles completed with the built-in defaults.

    Args:
        text: the content of `assay.toml`.
        name: what to call it in messages: its path, or where it was read.
        roles: names of roles that a platform adds to the four.
        tools: names of tools that a platform adds to the seven.

    A preset that it names stands above it. Raises ConfigurationError with file, line and column of everything that
    is wrong, up to ten.
    """
    return combine_layers([read_layer(text, name=name)], roles=roles, tools=tools).settings


@dataclass(frozen=True)
class Policy:
    """Settings in force, and which layer each of them comes from."""

    settings: Settings
    layers: tuple[Layer, ...]
    """From the upper one to the lowest, presets included."""
    origins: Mapping[KeyPath, tuple[Layer, KeyPath]]
    """Setting, or item of a list that adds up, to the layer that said it and its path in there."""

    def origin(self, path: KeyPath) -> str:
        """Return where a setting's value was said, `NAME:LINE:COLUMN`; `built-in default` where nobody said it."""
        for length in range(len(path), 0, -1):
            if (found := self.origins.get(path[:length])) is not None:
                return found[0].place(found[1])
        return BUILT_IN


def read_layer(text: str, *, name: str) -> Layer:
    """Return the layer that a text in TOML gives: every value of its type, all keys known.

    Raises ConfigurationError with file, line and column of everything that is wrong, up to ten.
    """
    try:
        document = tomllib.loads(text)
        problems = list(_unusable(document, ()))
        written = json.dumps(document) if not problems else ""
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            _syntax_error(name, text, str(error)), next_step="mend the file there; https://toml.io says what is allowed"
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f"{name}: lists or tables are nested too deeply to be read") from error
    except ValueError as error:
        raise ConfigurationError(f"{name}: it holds a number that is too long to be read ({error})") from error
    layer = Layer(name, document, text)
    if not problems:
        problems = _mistyped(written)
    if problems:
        raise _error([(layer, path, message) for path, message in problems])
    return layer


def spoken_layer(said: Mapping[KeyPath, tuple[JsonValue, str]], *, name: str) -> Layer:
    """Return a layer that no file holds: what options of a command line, or arguments of a program, say.

    Args:
        said: setting to its value and the words that say it: `{("proof", "level"): ("B", "--level B")}`.
        name: what to call the layer.

    Raises ConfigurationError for a value that the setting cannot have.
    """
    document: dict[str, Any] = {}
    for path, (value, _) in said.items():
        here = document
        for step in path[:-1]:
            here = here.setdefault(str(step), {})
        here[str(path[-1])] = value
    layer = Layer(name, document, spoken={path: words for path, (_, words) in said.items()})
    if problems := _mistyped(json.dumps(document)):
        raise _error([(layer, path, message) for path, message in problems])
    return layer


def combine_layers(layers: Sequence[Layer], *, roles: Collection[str] = (), tools: Collection[str] = ()) -> Policy:
    """Return the settings that layers give together, each one only tightening what stands above it.

    Args:
        layers: from the upper one to the lowest. A preset that one names is put above it.
        roles: names of roles that a platform adds to the four.
        tools: names of tools that a platform adds to the seven.

    Raises ConfigurationError with the place of everything that is wrong, up to ten; for an attempt to loosen, with
    both places.
    """
    whole = tuple(part for layer in layers for part in _with_preset(layer))
    combined = combine(whole, roles=roles)
    if loosenings := (*combined.loosenings, *loosened_prices(whole)):
        raise _error(
            [(loose.layer, loose.path, loose.message) for loose in loosenings],
            next_step="take it out of the lower layer, have the upper one changed, or name another preset (--preset)",
        )
    settings = Settings.model_validate_json(json.dumps(combined.document), strict=True)
    known = {*ROLES, *roles}
    problems = [*_of_every_name(whole), *inconsistencies(settings, roles=known, tools=tools)]
    if problems:
        raise _error([(*_said_at(whole, combined.origins, path), message) for path, message in problems])
    return Policy(with_defaults(settings), whole, MappingProxyType(combined.origins))


def _with_preset(layer: Layer) -> Iterator[Layer]:
    named = layer.document.get("preset")
    if named is not None:
        yield read_layer(PRESETS[named], name=f"preset {named}")
    yield layer


def _of_every_name(layers: Sequence[Layer]) -> Iterator[tuple[KeyPath, str]]:
    """Yield settings under `fixed` that there are none of."""
    for layer in layers:
        for number, fixed in enumerate(layer.document.get("fixed", ())):
            rows = [row.split(".") for row in TIGHTNESS]
            steps = pattern_of(fixed.split(".")).split(".")
            if not any(row[: len(steps)] == steps for row in rows):
                close = get_close_matches(pattern_of(steps), TIGHTNESS, n=1, cutoff=0.5)
                yield ("fixed", number), f"{fixed!r} is no setting{f'; did you mean {close[0]!r}?' if close else ''}"


def _said_at(
    layers: Sequence[Layer], origins: Mapping[KeyPath, tuple[Layer, KeyPath]], path: KeyPath
) -> tuple[Layer, KeyPath]:
    """Return the layer that said what a path of the whole is about, and the path in that layer."""
    for length in range(len(path), 0, -1):
        if (found := origins.get(path[:length])) is not None:
            rest = path[length:]
            return found[0], (*found[1], *rest)
        for layer in reversed(layers):
            if layer.holds(path[:length]):
                return layer, path
    return layers[-1], path


def _mistyped(written: str) -> list[tuple[KeyPath, str]]:
    """Return what is wrong with the types and keys in a document, given as JSON."""
    try:
        Settings.model_validate_json(written, strict=True)
    except ValidationError as error:
        return [_problem(detail) for detail in _relevant(error)]
    return []


def locate(text: str, path: KeyPath) -> Place:
    """Return line and column of a setting in a text that `parse_settings` accepts: `("agents", "coder", …)`."""
    return nearest_place(key_places(text), path)


def _syntax_error(name: str, text: str, message: str) -> str:
    """Return tomllib's message with the place in front, in the form that editors understand."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"{name}: not valid TOML: {message}"
    lines = text.split("\n")
    line, column = (found[2], found[3]) if found[2] else (len(lines), len(lines[-1]) + 1)
    return f"{name}:{line}:{column}: not valid TOML: {found[1]}"


def _unusable(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield what TOML can say and no setting can mean."""
    if isinstance(value, datetime | date | time):
        yield path, "a date or time is not used in any setting"
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        yield path, f"{_key(path)} is larger than any number that a setting can have"
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{_key(path)} must be finite, not {value}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unusable(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unusable(inner, (*path, number))


def _relevant(error: ValidationError) -> list[ErrorDetails]:
    """Drop what a union says of the branches that were not meant: a rule is a text or a table, not both."""
    details = error.errors(include_url=False)
    return [
        detail
        for detail in details
        if not (detail["loc"][-1:] == ("str",) and isinstance(detail["input"], dict))
        and not (detail["loc"][-1:] == ("ToolRule",) and not isinstance(detail["input"], dict))
    ]


def _problem(detail: ErrorDetails) -> tuple[KeyPath, str]:
    path, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return path, _unknown(path)
    if kind == "missing":
        missing = f"item {path[-1] + 1}" if isinstance(path[-1], int) else repr(path[-1])
        return path, f"{missing} of {_key(path[:-1])} is missing"
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == "literal_error":
        return path, f"{_key(path)} must be {context['expected']}, not {detail['input']!r}"
    if kind in _EXPECTED:
        got = _TOML_NAMES.get(type(detail["input"]), "a table")
        return path, f"{_key(path)} must be {_EXPECTED[kind]}, not {got}: {_short(detail['input'])}"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return path, f"{_key(path)} must be {message}, not {_short(detail['input'])}"


def _key(path: KeyPath) -> str:
    written = [step for step in path if step not in ("str", "ToolRule")]
    return ".".join(str(step) for step in written).replace(".[", "[") or "the file"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _unknown(path: KeyPath) -> str:
    """Say that a key is unknown, and which one may be meant, or why there is none."""
    if path[0] == "sandboxes" and (reason := refusal(str(path[-1]))):
        return f"{path[-1]!r} in [{_key(path[:-1])}] is refused: it {reason}"
    known = known_keys(path[:-1])
    where = f"in [{_key(path[:-1])}]" if path[:-1] else "at the top"
    close = get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"unknown key {path[-1]!r} {where}; {hint}"


def _error(problems: Iterable[tuple[Layer, KeyPath, str]], *, next_step: str = _NEXT) -> ConfigurationError:
    lines = []
    for layer, path, message in sorted(problems, key=lambda problem: problem[0].position(problem[1])):
        lines.append(f"{layer.place(path)}: {message}")
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return ConfigurationError("\n".join([*dict.fromkeys(lines[:_SHOWN]), *more]), next_step=next_step)
