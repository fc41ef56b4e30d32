"""S8 for JavaScript: null implementations, made on lines.

Defeats the same as those for Python do. There is no parser here: a file is taken apart where a line that is not
indented begins something at its top, as every formatter leaves it. Functions in a form that is not known stay
as they are, and a test of theirs is then not controlled. That errs to the side of asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from assay.evidence.controls import Null

SUFFIXES: Final = (".js", ".mjs", ".cjs")

_BODIES: Final[dict[Null, str]] = {
    "raise": 'throw new Error("a null implementation");',
    "return": "return undefined;",
}
_GOES_ON: Final = re.compile(r"\s|[)}\]]|$|//|\*")
"""How a line begins that belongs to what began above it."""
_FUNCTION: Final = re.compile(r"((?:export\s+(?:default\s+)?)?(?:async\s+)?function\b(?:\s*\*)?)\s*+([\w$]*)\s*\(")
_VALUE: Final = re.compile(
    r"((?:export\s+)?(?:const|let|var)\s+([\w$]+)\s*=|(?:module\.)?exports\.([\w$]+)\s*=)"
    r"\s*(async\s+)?(?:function\b|\([^)]*\)\s*=>|[\w$]+\s*=>)"
)


def null_scripts(before: Mapping[str, bytes], after: Mapping[str, bytes], null: Null) -> dict[str, bytes]:
    """Return the head's JavaScript files in which the functions that are new or different do nothing.

    Args:
        before: the base's files by path.
        after: the head's files by path.
        null: what each of these functions does instead.

    A file in which no function of a known form changed is left out.
    """
    made: dict[str, bytes] = {}
    for path, data in after.items():
        known = {_plain(part) for part in _parts(before.get(path, b""))}
        parts = list(_parts(data))
        nulled = [part if _plain(part) in known else _nulled(part, _BODIES[null]) for part in parts]
        if nulled != parts:
            made[path] = "".join(nulled).encode()
    return made


def _parts(data: bytes) -> Iterator[str]:
    """Yield the parts of a file, each from a line that is not indented to the next such line."""
    part = ""
    for line in data.decode(errors="replace").splitlines(keepends=True):
        if part and not _GOES_ON.match(line):
            yield part
            part = ""
        part += line
    if part:
        yield part


def _plain(part: str) -> str:
    return re.sub(r"\s+", " ", part).strip()


def _nulled(part: str, body: str) -> str:
    if (function := _FUNCTION.match(part)) is not None:
        return f"{function[1]} {function[2]}() {{ {body} }}\n"
    if (value := _VALUE.match(part)) is not None:
        return f"{value[1]} {value[4] or ''}function () {{ {body} }};\n"
    return part
