"""What settings there are, read off their classes: for messages, for editors and for the reference."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from assay.policies.positions import KeyPath
from assay.policies.settings import Settings
from assay.policies.tightness import EVERY, TIGHTNESS
from assay.records.base import Record

_SCHEMA_ID: Final = "assay.schema.json"
_NAMES: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def json_schema() -> str:
    """Return the JSON Schema of `assay.toml` for editors, as indented JSON."""
    schema = Settings.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": _SCHEMA_ID, "title": "assay.toml"}
    return json.dumps({**head, **{k: v for k, v in schema.items() if k != "title"}}, indent=2) + "\n"


def known_keys(path: KeyPath) -> list[str]:
    """Return the keys that may stand in the table at a path; empty where any may."""
    kind: Any = Settings
    for step in path:
        if step in ("str", "ToolRule"):
            continue
        kind = _inner(kind, step)
    records = [kind, *get_args(kind)]
    return sorted(name for record in records if _is_record(record) for name in record.model_fields)


def _inner(kind: Any, step: str | int) -> Any:
    if get_origin(kind) in (Union, UnionType):
        kind = next((arg for arg in get_args(kind) if _is_record(arg)), kind)
    if _is_record(kind):
        field = kind.model_fields.get(str(step))
        return field.annotation if field else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if arguments else None


def _is_record(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Record)


def settings_reference() -> str:
    """Return the reference of every setting as Markdown: name, type, default and meaning."""
    lines = [
        "# Every setting of `assay.toml`",
        "",
        "Written by `scripts/write_settings_reference.py` from `policies/settings.py`; a test keeps it current.",
        "An empty file is a valid one. Unknown keys are refused. Editors find the same in `assay.schema.json`:",
        "put `#:schema` and its path on the first line of the file.",
        "",
        "The defaults of the four roles (`planner`, `tester`, `coder`, `reviewer`) are in `policies/defaults.py`;",
        "the table of a role below says what holds for a role that a platform adds.",
        "",
        "*Tighter is* says what a lower layer may do to a setting that an upper one says (built-in preset,",
        "organisation, repository, run; see [policies.md](policies.md)): only that. Where a setting has no order, a",
        "lower layer may change it freely unless an upper one lists it under `fixed`. In the names of roles, profiles",
        'and gates, `"*"` stands for each of them: `[agents."*".budget]` bounds every role.',
        "",
    ]
    for heading, record in _tables(Settings, ""):
        lines += [f"## `[{heading}]`" if heading else "## At the top", "", *_summary(record), ""]
        rows = [_row(heading, name, field) for name, field in record.model_fields.items() if not _is_table(field)]
        if rows:
            lines += ["| setting | type | default | tighter is | meaning |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _tables(record: type[Record], prefix: str) -> Iterator[tuple[str, type[Record]]]:
    """Yield each table that has settings of its own, with its heading."""
    yield prefix, record
    for name, field in record.model_fields.items():
        heading = f"{prefix}.{name}" if prefix else name
        kind: Any = field.annotation
        if get_origin(kind) is dict and _is_record(get_args(kind)[1]):
            yield from _tables(get_args(kind)[1], f"{heading}.NAME")
        elif _is_record(kind):
            yield from _tables(kind, heading)


def _is_table(field: FieldInfo) -> bool:
    kind: Any = field.annotation
    return _is_record(kind) or (get_origin(kind) is dict and _is_record(get_args(kind)[1]))


def _summary(record: type[Record]) -> list[str]:
    return inspect.cleandoc(record.__doc__ or "").splitlines()


def setting_rows() -> Iterator[str]:
    """Yield every setting, dotted, `*` for names: what the table of what is tighter must hold."""
    for heading, record in _tables(Settings, ""):
        for name, field in record.model_fields.items():
            if not _is_table(field):
                yield _pattern(heading, name)


def _pattern(heading: str, name: str) -> str:
    dotted = f"{heading}.{name}".lstrip(".").replace("NAME", EVERY)
    return f"{dotted}.{EVERY}" if dotted in ("prices", f"sandboxes.{EVERY}.environment") else dotted


def _row(heading: str, name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    default = "" if field.is_required() else f"`{_toml(field.get_default(call_default_factory=True))}`"
    tighter = TIGHTNESS[_pattern(heading, name)].words
    cells = (f"`{name}`", _type_name(field.annotation) + _bounds(field), default, tighter, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return json.dumps(value, ensure_ascii=False)


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [
        f"{word} {getattr(bound, key):g}"
        for bound in [*field.metadata, *_annotations(field.annotation)]
        for key, word in words.items()
        if getattr(bound, key, None) is not None
    ]
    return f", {', '.join(found)}" if found else ""


def _annotations(kind: Any) -> Iterator[Any]:
    """Yield the bounds inside of `Annotated[int, …] | None`."""
    for argument in get_args(kind):
        for note in getattr(argument, "__metadata__", ()):
            yield from getattr(note, "metadata", [note])


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _NAMES:
        return _NAMES[kind]
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(a) for a in arguments if a is not NoneType)
    if origin is tuple:
        inner = dict.fromkeys(_type_name(a) for a in arguments if a is not Ellipsis)
        count = "" if Ellipsis in arguments else f"{len(arguments)} times "
        return f"list of {count}{' and '.join(inner)}"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}"
    if _is_record(kind):
        return f"table ({', '.join(f'`{name}`' for name in kind.model_fields)})"
    if hasattr(kind, "__origin__"):
        return _type_name(kind.__origin__)
    return "any value"
