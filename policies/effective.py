"""A policy in force as TOML, each value with the layer that it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from assay.policies.layers import BUILT_IN
from assay.policies.loading import Policy
from assay.policies.positions import KeyPath
from assay.policies.tightness import tightness_of


def print_policy(policy: Policy) -> str:
    """Return every setting in force as TOML that loads again, with the place of each in a comment.

    A setting without a value (no bound, no file) is left out. Where layers add to a list, each item has its place.
    """
    return "".join(_table(policy, policy.settings.model_dump(mode="json"), ()))


def _table(policy: Policy, values: Mapping[str, Any], path: KeyPath) -> Iterator[str]:
    """Yield the lines of a table: first its settings, then the tables in it."""
    settings = {k: v for k, v in values.items() if tightness_of((*path, k)) is not None and v is not None}
    if settings:
        if path:
            yield f"\n[{'.'.join(_key(step) for step in path)}]\n"
        for key, value in settings.items():
            yield from _setting(policy, (*path, key), value)
    for key, value in values.items():
        if key not in settings and isinstance(value, Mapping):
            yield from _table(policy, value, (*path, key))


def _setting(policy: Policy, path: KeyPath, value: Any) -> Iterator[str]:
    if isinstance(value, list) and any((*path, number) in policy.origins for number in range(len(value))):
        yield f"{_key(path[-1])} = [\n"
        for number, item in enumerate(value):
            place = (*path, number)
            yield f"  {_toml(item)},  # {policy.origin(place) if place in policy.origins else BUILT_IN}\n"
        yield "]\n"
    else:
        yield f"{_key(path[-1])} = {_toml(value)}  # {policy.origin(path)}\n"


def _key(step: str | int) -> str:
    text = str(step)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _toml(text)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    return json.dumps(value)
