"""Layers of settings: each one may tighten what stands above it, and an attempt to loosen is named with both places.

What binds is what a layer says. A built-in default that no layer says binds nobody; it only fills in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from assay.policies.defaults import ROLES, default_role
from assay.policies.positions import KeyPath, key_places, nearest_place
from assay.policies.settings import GateSettings, Settings
from assay.policies.tightness import (
    EVERY,
    NAMED,
    TIGHTNESS,
    asked_within,
    common_rules,
    loosening_rules,
    pattern_of,
    tightness_of,
)
from assay.records.sandboxes import SandboxProfile

BUILT_IN: Final = "built-in default"
_LISTS: Final = ("deny", "ask", "allow")
_GATE_IS: Final = ("kind", "command", "sarif", "allowed")
"""Settings of a gate without which it would be another one, so that a lower layer cannot add them."""


@dataclass(frozen=True)
class Layer:
    """One layer: what it says, and where each part of that stands."""

    name: str
    """What to call it in messages: a path, or where it was read."""
    document: Mapping[str, Any]
    """What it says, as TOML means it."""
    text: str = ""
    """The TOML that it was read from; empty where it came from a command line or a program."""
    spoken: Mapping[KeyPath, str] = field(default_factory=dict)
    """Setting to the words that say it, for a layer without a text: `--level B`."""

    @cached_property
    def _places(self) -> dict[KeyPath, tuple[int, int]]:
        return key_places(self.text)

    def place(self, path: KeyPath) -> str:
        """Return where the layer says something: `NAME:LINE:COLUMN`, or the option."""
        if not self.text:
            return self.spoken.get(path, self.name)
        line, column = nearest_place(self._places, path)
        return f"{self.name}:{line}:{column}"

    def position(self, path: KeyPath) -> tuple[int, int]:
        """Return line and column, for sorting."""
        return nearest_place(self._places, path) if self.text else (1, 1)

    def holds(self, path: KeyPath) -> bool:
        """Whether the layer says something at the path, or below it."""
        here: Any = self.document
        for step in path:
            if not _has(here, step):
                return False
            here = here[step]
        return True


def _has(here: Any, step: str | int) -> bool:
    if isinstance(here, Mapping):
        return step in here
    return isinstance(here, list) and isinstance(step, int) and step < len(here)


@dataclass(frozen=True)
class Loosening:
    """An attempt of a lower layer to allow what an upper one does not."""

    layer: Layer
    path: KeyPath
    message: str


@dataclass(frozen=True)
class Combined:
    """What layers say together."""

    document: dict[str, Any]
    origins: dict[KeyPath, tuple[Layer, KeyPath]]
    """Setting, or item of a list that adds up, to the layer that gave its value and its path in there."""
    loosenings: tuple[Loosening, ...]


def combine(layers: Sequence[Layer], *, roles: Iterable[str] = ()) -> Combined:
    """Return what layers say together, from the upper one to the lowest, and every attempt to loosen.

    What is said of every role holds for the four, for those that a layer names, and for the `roles` of a platform.
    """
    return _Combining(layers, (*ROLES, *roles)).result()


@dataclass
class _Said:
    """What was said of one setting so far."""

    value: Any = None
    bound: Any = None
    """What lower layers are held against; differs from the value where a bound for all meets a built-in default."""
    origin: tuple[Layer, KeyPath] | None = None


class _Combining:
    def __init__(self, layers: Sequence[Layer], roles: Sequence[str]) -> None:
        self._layers = layers
        self._roles = roles
        self._sayings = [dict(_settings_in(layer.document, ())) for layer in layers]
        self._loosenings: list[Loosening] = []
        self._origins: dict[KeyPath, tuple[Layer, KeyPath]] = {}
        self._document: dict[str, Any] = {}
        self._names = {table: self._names_in(table) for table in NAMED}

    def result(self) -> Combined:
        for table, names in self._names.items():
            for name in names if table != "prices" else ():
                self._document.setdefault(table, {}).setdefault(name, {})
        for path in self._paths():
            said = self._settle(path)
            if said.origin is not None:
                self._put(path, said.value)
                self._origins.setdefault(path, said.origin)
        for role in self._names["agents"]:
            self._settle_rules(role)
        return Combined(self._document, self._origins, tuple(self._loosenings))

    def _names_in(self, table: str) -> list[str]:
        """Return the names that a table has in any layer; those that exist anyway where something is said of all."""
        tables = [t for layer in self._layers if isinstance(t := layer.document.get(table), Mapping)]
        names = dict.fromkeys(name for said in tables for name in said)
        if EVERY in names:
            names |= dict.fromkeys({"agents": self._roles, "sandboxes": ("default",)}.get(table, ()))
        return [name for name in names if name != EVERY]

    def _paths(self) -> Iterator[KeyPath]:
        """Yield each setting that some layer says, with what is said of every name spread over the names."""
        found: dict[KeyPath, None] = {}
        for sayings in self._sayings:
            for path in sayings:
                if path[0] in NAMED and path[1] == EVERY:
                    found |= dict.fromkeys((path[0], name, *path[2:]) for name in self._names[str(path[0])])
                else:
                    found[path] = None
        return (path for path in found if path[2:3] != ("rules",) or path[0] != "agents")

    def _settle(self, path: KeyPath) -> _Said:
        said = _Said()
        tightness = TIGHTNESS[pattern_of(path)]
        for number, (layer, sayings) in enumerate(zip(self._layers, self._sayings, strict=True)):
            general = (path[0], EVERY, *path[2:]) if path[0] in NAMED else path
            if path in sayings:
                if said.origin is None:
                    said = self._whole(number, path, said)
                upper, value = said, sayings[path]
                if tightness.kind == "added" and general != path and general in sayings:
                    more = sayings[general]
                    if not self._refused(number, general, more, upper, of=path):
                        self._note_added(path, layer, more, said)
                        said = _Said(tightness.meet(said.value or [], more), upper.bound, (layer, general))
                if not self._refused(number, path, value, upper):
                    if tightness.kind == "added":
                        self._note_added(path, layer, value, said)
                        value = tightness.meet(said.value or [], value)
                    said = _Said(value, value, (layer, path))
            elif general in sayings:
                if said.origin is None:
                    said = self._whole(number, path, said)
                if not self._refused(number, general, sayings[general], said, of=path):
                    self._spread(path, said, sayings[general], (layer, general))
        return said

    def _whole(self, number: int, path: KeyPath, said: _Said) -> _Said:
        """Return what a layer above says by leaving it out: who names a gate says what that looks at, all of it."""
        if path[0] == "gates" and path[2] in _GATE_IS:
            for layer in self._layers[:number]:
                if layer.holds(path[:2]):
                    return _Said(_default(path), _default(path), (layer, path[:2]))
        return said

    def _note_added(self, path: KeyPath, layer: Layer, value: Sequence[Any], said: _Said) -> None:
        known = list(said.value or [])
        for number, item in enumerate(value):
            if item not in known:
                self._origins[(*path, len(known))] = (layer, (*path, number))
                known.append(item)

    def _refused(self, number: int, path: KeyPath, value: Any, said: _Said, of: KeyPath | None = None) -> bool:
        """Note where a layer says what the ones above do not let it say.

        What is said of every name only bounds; but where lists add up, its `!` takes back like any other.
        """
        layer, concrete, row = self._layers[number], of or path, TIGHTNESS[pattern_of(path)]
        if (fixed := self._fixed_above(number, concrete)) is not None:
            held = said.value if said.origin is not None else _default(concrete)
            if value == held:
                return False
            reason = f"{_dotted(path)} is fixed by {fixed}"
        elif said.origin is not None and (of is None or row.kind == "added") and row.loosens(said.bound, value):
            above, where = said.origin
            words = row.words
            reason = (
                f"{_dotted(path)} = {_shown(value)} loosens what {above.place(where)} says, {_shown(said.bound)} "
                f"(tighter is {words}); a lower layer may only tighten"
            )
        else:
            return False
        self._loosenings.append(Loosening(layer, path, reason))
        return True

    def _fixed_above(self, number: int, path: KeyPath) -> str | None:
        """Return where a layer above fixes a setting."""
        for layer in self._layers[:number]:
            for place, fixed in enumerate(layer.document.get("fixed", ())):
                steps = str(fixed).split(".")
                if len(steps) <= len(path) and all(s in (EVERY, str(p)) for s, p in zip(steps, path, strict=False)):
                    return layer.place(("fixed", place))
        return None

    def _spread(self, path: KeyPath, said: _Said, value: Any, origin: tuple[Layer, KeyPath]) -> None:
        """Take what a layer says of every name: it bounds what has an order, and fills in what has none."""
        tightness = TIGHTNESS[pattern_of(path)]
        if said.origin is None:
            default = _plain(_default(path))
            fills = tightness.kind in ("kept", "free") or tightness.nothing
            said.value = value if fills else tightness.meet(default, value)
            said.bound, said.origin = value, origin
        elif tightness.kind not in ("kept", "free"):
            if (met := tightness.meet(said.value, value)) != said.value:
                said.value, said.origin = met, origin
            said.bound = tightness.meet(said.bound, value)

    def _settle_rules(self, role: str) -> None:
        """Combine the rules of a role: `deny` and `ask` add up, `allow` is the lowest one's, within those above.

        What is asked of every role only bounds: it is asked as far as the role may do it otherwise.
        """
        rules: dict[str, list[Any]] = {}
        places: dict[str, list[tuple[Layer, KeyPath]]] = {}
        for number, layer in enumerate(self._layers):
            above = {effect: list(items) for effect, items in rules.items()}
            for name in (EVERY, role):
                if layer.holds(("agents", name, "rules")) and not self._are_fixed(number, role, name):
                    given: Mapping[str, Sequence[Any]] = layer.document["agents"][name]["rules"]
                    path: KeyPath = ("agents", name, "rules")
                    for effect, item, text in loosening_rules(above, given) if name == role else ():
                        self._loosenings.append(self._loose_rule(number, role, (*path, effect, item), text))
                    for effect in _LISTS:
                        if effect in given:
                            self._join(role, layer, path, effect, given[effect], rules, places)
            self._narrow_asks(number, role, rules, places, above, rules.get("allow"))
        if "allow" not in rules:
            self._narrow_asks(number, role, rules, places, above, _plain(default_role(role).rules.allow))
        for effect, items in rules.items():
            self._put(("agents", role, "rules", effect), items)
            for item, origin in enumerate(places[effect]):
                self._origins["agents", role, "rules", effect, item] = origin

    def _narrow_asks(
        self,
        number: int,
        role: str,
        rules: dict[str, list[Any]],
        places: dict[str, list[tuple[Layer, KeyPath]]],
        above: Mapping[str, Sequence[Any]],
        allowed: Sequence[Any] | None,
    ) -> None:
        """Take out of what every role is asked what this one may not do, and note what may lie in there."""
        if allowed is None or "ask" not in rules:
            return
        asked = list(zip(rules["ask"], places["ask"], strict=True))
        rules["ask"], places["ask"] = [], []
        for rule, origin in asked:
            kept = asked_within(rule, allowed) if origin[1][1] == EVERY else [rule]
            if kept and origin[0] is self._layers[number] and origin[1][1] == EVERY:
                for _, _, text in loosening_rules(above, {"ask": kept}):
                    self._loosenings.append(self._loose_rule(number, role, origin[1], text))
            for one in kept:
                if one not in rules["ask"]:
                    rules["ask"].append(one)
                    places["ask"].append(origin)

    def _are_fixed(self, number: int, role: str, name: str) -> bool:
        """Note where a layer says rules that one above fixes, and say whether there are any."""
        layer, found = self._layers[number], False
        for effect in layer.document["agents"][name]["rules"]:
            if (fixed := self._fixed_above(number, ("agents", role, "rules", effect))) is not None:
                path: KeyPath = ("agents", name, "rules", effect)
                self._loosenings.append(Loosening(layer, path, f"{_dotted(path)} is fixed by {fixed}"))
                found = True
        return found

    def _join(
        self,
        role: str,
        layer: Layer,
        path: KeyPath,
        effect: str,
        given: Sequence[Any],
        rules: dict[str, list[Any]],
        places: dict[str, list[tuple[Layer, KeyPath]]],
    ) -> None:
        here: list[tuple[Layer, KeyPath]] = [(layer, (*path, effect, n)) for n in range(len(given))]
        if effect != "allow":
            known = rules.setdefault(effect, [])
            kept = [n for n, rule in enumerate(given) if rule not in known]
            found = places.setdefault(effect, [])
            for n, rule in enumerate(given):
                if rule in known and path[1] != EVERY and found[known.index(rule)][1][1] == EVERY:
                    found[known.index(rule)] = here[n]  # said of the role itself, too, so that it is no mere bound
            found.extend(here[n] for n in kept)
            known.extend(given[n] for n in kept)
        elif path[1] == EVERY:
            before = rules.get("allow", _plain(list(default_role(role).rules.allow)))
            rules["allow"] = common_rules(before, given)
            old = dict(zip(map(str, before), places.get("allow", ()), strict=False))
            new = dict(zip(map(str, given), here, strict=True))
            places["allow"] = [old.get(str(r)) or new.get(str(r)) or (layer, path) for r in rules["allow"]]
        else:
            rules["allow"], places["allow"] = list(given), here

    def _loose_rule(self, number: int, role: str, path: KeyPath, text: str) -> Loosening:
        layer = self._layers[number]
        above, said = next(
            (upper, said)
            for upper in reversed(self._layers[:number])
            for name in (role, EVERY)
            if upper.holds(said := ("agents", name, "rules", "allow"))
        )
        words = "allows" if path[-2] == "allow" else "asks for"
        return Loosening(
            layer,
            path,
            f"{_dotted(path[:-1])}: {text!r} {words} what {above.place(said)} does not; a lower layer may only tighten",
        )

    def _put(self, path: KeyPath, value: Any) -> None:
        here = self._document
        for step in path[:-1]:
            here = here.setdefault(str(step), {})
        here[str(path[-1])] = value


def _settings_in(document: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each setting that a document says, with its value; a table that is a setting is one value."""
    for key, value in document.items():
        here = (*path, key)
        if tightness_of(here) is not None:
            yield here, value
        elif isinstance(value, Mapping):
            yield from _settings_in(value, here)


def _default(path: KeyPath) -> Any:
    """Return the built-in value of a setting."""
    here: Any = Settings()
    steps = list(path)
    match path[0]:
        case "agents":
            here, steps = default_role(str(path[1])), steps[2:]
        case "sandboxes":
            here, steps = SandboxProfile(), steps[2:]
        case "gates":
            here, steps = GateSettings(), steps[2:]
    for step in steps:
        here = here.get(step) if isinstance(here, Mapping) else getattr(here, str(step))
    return _plain(here)


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(f'"{step}"' if step == EVERY else str(step) for step in path)


def _shown(value: Any) -> str:
    text = "no bound" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
