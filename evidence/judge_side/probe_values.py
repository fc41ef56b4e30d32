"""Plain values as Python literals, for the judge's probe inside the sandbox (S11).

This file is written into a fresh sandbox beside the parts that need it, and loaded before any judged code.
"""

from __future__ import annotations

from typing import Any, Final

LONGEST: Final = 1_000
"""Characters of a literal; what is longer is not plain."""
_DEEPEST: Final = 8
_LARGEST: Final = 4_000
"""Bits of a whole number."""


class NotPlain(Exception):
    """A value is not built of plain ones, or too large."""


def literal(value: object, depth: int = 0) -> str:
    """Return a plain value as a Python literal, the same for equal sets; raises NotPlain."""
    kind = type(value)
    if value is None or kind is bool:
        return repr(value)
    if kind is int:
        text = "" if value.bit_length() > _LARGEST else repr(value)  # type: ignore[attr-defined]
    elif kind is float:
        text = "" if value != value else repr(value).replace("inf", "1e999")
    elif kind in (str, bytes):
        text = "" if len(value) > LONGEST else repr(value)  # type: ignore[arg-type]
    elif depth < _DEEPEST and kind in (list, tuple, dict, set) and len(value) <= LONGEST:  # type: ignore[arg-type]
        text = _container(value, depth + 1)
    else:
        text = ""
    if not text or len(text) > LONGEST:
        raise NotPlain
    return text


def _container(value: Any, depth: int) -> str:
    if type(value) is dict:
        return "{" + ", ".join(f"{literal(k, depth)}: {literal(v, depth)}" for k, v in value.items()) + "}"
    inner = [literal(item, depth) for item in value]
    if type(value) is list:
        return f"[{', '.join(inner)}]"
    if type(value) is tuple:
        return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
    return "{" + ", ".join(sorted(inner)) + "}" if inner else "set()"
