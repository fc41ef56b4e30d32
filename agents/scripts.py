"""Scripts for the scripted model: what each role says and calls, as a YAML file that people can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml
from pydantic import JsonValue

from assay.errors import ScriptError
from assay.records.base import Record

_PART_KEYS: Final = {"role", "unit", "attempt", "turns"}
_TURN_KEYS: Final = {"say", "call", "expect", "usage"}


class ScriptedCall(Record):
    """A tool call."""

    tool: str
    args: dict[str, JsonValue]
    line: int


class Turn(Record):
    """One answer of the model."""

    line: int
    say: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    expect: tuple[str, ...] = ()
    """Texts that what the model was told since its last answer must contain."""
    usage: tuple[int, int] = (0, 0)
    """Input and output tokens that the answer is said to have cost."""


class Part(Record):
    """What one role says, at any unit and attempt unless it names them."""

    line: int
    role: str
    unit: str | None = None
    attempt: int | None = None
    turns: tuple[Turn, ...]

    def __str__(self) -> str:
        unit = f", unit {self.unit}" if self.unit else ""
        attempt = f", attempt {self.attempt}" if self.attempt else ""
        return f"{self.role}{unit}{attempt} (line {self.line})"


class Script(Record):
    """A whole file."""

    file: str
    parts: tuple[Part, ...]

    def part(self, role: str, unit: str | None, attempt: int) -> Part:
        """Return the part that fits best; raises ScriptError when none fits.

        One that names the unit goes before one that names the attempt, and that before one that names neither.
        """
        fitting = [
            part
            for part in self.parts
            if part.role == role and part.unit in {None, unit} and part.attempt in {None, attempt}
        ]
        if not fitting:
            held = "; ".join(str(part) for part in self.parts if part.role == role) or "nothing for this role"
            where = f"{role}{f', unit {unit}' if unit else ''}, attempt {attempt}"
            raise ScriptError(
                f"{self.file}: the script holds no part for {where}. It holds {held}.",
                next_step=f"add a part with `role: {role}`, and `unit:` and `attempt:` where they matter",
            )
        return max(fitting, key=lambda part: (part.unit is not None, part.attempt is not None))


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without dates: what a script holds is JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_script(path: Path) -> Script:
    """Read a script; raises ScriptError naming file and line of whatever does not fit."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"The script {str(path)!r} cannot be read: {error}") from error
    return parse_script(text, file=str(path))


def parse_script(text: str, *, file: str) -> Script:
    """Return the script that `text` holds; `file` is for messages."""
    return _Reader(text, file).script()


class _Reader:
    """Reads YAML's nodes and not its values, because nodes know their lines."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        try:
            self._loader = _Loader(text)
            self._root = self._loader.get_single_node()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or error
            raise ScriptError(f"{file}:{mark.line + 1 if mark else 1}: this is not YAML: {problem}") from error

    def script(self) -> Script:
        if self._root is None:
            raise ScriptError(f"{self._file}:1: the script is empty", next_step="begin with `script:` and a list")
        fields = self._fields(self._root, {"script"}, "a script")
        if "script" not in fields:
            self._fail(self._root, "there is no `script:`")
        parts = tuple(self._part(node) for node in self._items(fields["script"], "`script`"))
        seen: dict[tuple[str, str | None, int | None], Part] = {}
        for part in parts:
            first = seen.setdefault((part.role, part.unit, part.attempt), part)
            if first is not part:
                raise ScriptError(f"{self._file}:{part.line}: {first} is there already; {part} would never be reached")
        return Script(file=self._file, parts=parts)

    def _part(self, node: yaml.Node) -> Part:
        fields = self._fields(node, _PART_KEYS, "a part")
        for key in ("role", "turns"):
            if key not in fields:
                self._fail(node, f"the part has no `{key}:`")
        attempt = self._value(fields["attempt"]) if "attempt" in fields else None
        if attempt is not None and (not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1):
            self._fail(fields["attempt"], f"`attempt` counts from 1; {attempt!r} was given")
        return Part(
            line=_line(node),
            role=self._text(fields["role"], "role"),
            unit=self._text(fields["unit"], "unit") if "unit" in fields else None,
            attempt=attempt,
            turns=tuple(self._turn(turn) for turn in self._items(fields["turns"], "`turns`")),
        )

    def _turn(self, node: yaml.Node) -> Turn:
        fields = self._fields(node, _TURN_KEYS, "a turn")
        if not fields.keys() & {"say", "call"}:
            self._fail(node, "the turn neither says nor calls anything")
        return Turn(
            line=_line(node),
            say=self._text(fields["say"], "say") if "say" in fields else "",
            calls=tuple(self._calls(fields["call"])) if "call" in fields else (),
            expect=self._texts(fields["expect"]) if "expect" in fields else (),
            usage=self._usage(fields["usage"]) if "usage" in fields else (0, 0),
        )

    def _calls(self, node: yaml.Node) -> Iterator[ScriptedCall]:
        for item in self._items(node, "`call`") if isinstance(node, yaml.SequenceNode) else [node]:
            fields = self._fields(item, None, "a call")
            if len(fields) != 1:
                self._fail(item, f"a call is one tool with its arguments; here are {sorted(fields) or 'none'}")
            ((tool, arguments),) = fields.items()
            args = self._value(arguments)
            if args is None:
                args = {}
            if not isinstance(args, dict):
                self._fail(arguments, f"the arguments of {tool!r} are a mapping; {type(args).__name__} was given")
            yield ScriptedCall(tool=tool, args=args, line=_line(item))

    def _texts(self, node: yaml.Node) -> tuple[str, ...]:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._text(item, "expect") for item in self._items(node, "`expect`"))
        return (self._text(node, "expect"),)

    def _usage(self, node: yaml.Node) -> tuple[int, int]:
        value = self._value(node)
        if not (isinstance(value, list) and len(value) == 2 and all(type(n) is int and n >= 0 for n in value)):
            self._fail(node, f"`usage` is [input tokens, output tokens]; {value!r} was given")
        return (value[0], value[1])

    def _fields(self, node: yaml.Node, known: set[str] | None, what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, f"{what} is a mapping")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key, "key")
            if known is not None and name not in known:
                self._fail(key, f"{what} has no {name!r}; it has {', '.join(sorted(known))}")
            if name in fields:
                self._fail(key, f"{name!r} is there twice")
            fields[name] = value
        return fields

    def _items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._fail(node, f"{what} is a list with at least one item")
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        value = self._value(node)
        if not isinstance(value, str):
            self._fail(node, f"`{what}` is text; {value!r} was given")
        return value

    def _value(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_document(node)
        except yaml.YAMLError as error:
            self._fail(node, f"this value does not read: {getattr(error, 'problem', None) or error}")

    def _fail(self, node: yaml.Node, problem: str) -> NoReturn:
        raise ScriptError(f"{self._file}:{_line(node)}: {problem}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
