"""Text that wants more than to be read, and a way to put it everywhere."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, get_origin

from pydantic import BaseModel

from assay.records.evidence import Cell

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'><svg/onload=window.hacked=1>"
    "</style></pre></title><a href=javascript:window.hacked=1>{{ 7 * 7 }}{% raw %} "
    "\x1b[31mred\x1b]0;title\x07\r\x00 \u202eevil\u2066 \ud800 \udcff &amp;"
)


def poisoned(value: Any) -> Any:
    """Return a copy in which every free text, however deep, ends with hostile text."""
    if type(value) is str:
        return value + HOSTILE
    if isinstance(value, tuple):
        return tuple(poisoned(item) for item in value)
    if isinstance(value, BaseModel):
        closed = {n for n, f in type(value).model_fields.items() if get_origin(f.annotation) is Literal}
        closed |= {"source", "tests"} if isinstance(value, Cell) else set()
        closed |= {"id", "depends_on"}  # identifiers cannot hold it, and tests find each other by theirs
        closed |= {"setup", "call", "teardown", "failure", "level", "status", "type", "test"}
        names = type(value).model_fields.keys() - closed
        return value.model_copy(update={name: poisoned(getattr(value, name)) for name in names})
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: poisoned(getattr(value, f.name)) for f in fields(value) if f.name != "outcome"}
        )
    return value
