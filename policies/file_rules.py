"""Tool rules for the tools that read and write files: paths are made plain before they are judged."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pathspec import GitIgnoreSpec
from pydantic import JsonValue

from assay.policies.rulings import EFFECTS, Outcome, Rule, RuleDecision, strictest

FILE_TOOLS: Final = frozenset({"ls", "read_file", "write_file", "edit_file", "glob", "grep"})
_SEARCHING: Final = frozenset({"glob", "grep"})
_WORKSPACE: Final = "/workspace"
_WILD: Final = re.compile(r"[*?\[{]")


def plain_path(path: str) -> str:
    """Return a path as rules see it: relative to the workspace, or absolute where it lies outside of it.

    `./`, `//` and `..` are resolved; the workspace itself is `.`.
    """
    joined = posixpath.normpath(posixpath.join(_WORKSPACE, path))
    joined = "/" + joined.lstrip("/")
    if joined == _WORKSPACE:
        return "."
    return joined.removeprefix(_WORKSPACE + "/")


def folded(text: str) -> str:
    """Return a path with case and composition of characters taken away: how `deny` compares."""
    return unicodedata.normalize("NFKC", text).casefold()


@dataclass(frozen=True)
class _PathPattern:
    source: str

    @cached_property
    def _exact(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines([self._line])

    @cached_property
    def _folded(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines([folded(self._line)])

    @property
    def _line(self) -> str:
        return self.source[1:] if self.outside else self.source

    @property
    def outside(self) -> bool:
        """Whether it is about absolute paths outside of the workspace: `//tmp/**`."""
        return self.source.startswith("//")

    def matches(self, path: str, *, strict: bool, folder: bool) -> bool:
        """Whether the path fits; `strict` sees through case and composed characters."""
        if path.startswith("/") != self.outside:
            return False
        spec = self._folded if strict else self._exact
        plain = (folded(path) if strict else path).lstrip("/")
        if plain in (".", ""):  # the workspace itself, or the top of the machine
            return self.source.strip("/") in ("*", "**", ".")
        return bool(spec.match_file(plain)) or (folder and bool(spec.match_file(plain + "/")))

    def reaches(self, path: str) -> bool:
        """Whether something that fits may lie below the path."""
        fixed = _WILD.split(self._line, maxsplit=1)[0].strip("/")
        if path.startswith("/") != self.outside:
            return False
        below = folded(path).strip("/")
        anchored = "/" in self._line.strip("/")
        return below == "." or not anchored or folded(fixed).startswith(below) or below.startswith(folded(fixed))


class FileRules:
    """The rules for the file tools of one role."""

    def __init__(self, rules: Iterable[Rule], *, origin: str) -> None:
        self._origin = origin
        self._rules: dict[Outcome, list[tuple[Rule, _PathPattern]]] = {effect: [] for effect in EFFECTS}
        for rule in rules:
            self._rules[rule.effect].append((rule, _PathPattern(rule.pattern)))

    def decide(self, tool: str, args: Mapping[str, JsonValue]) -> RuleDecision:
        """Return the decision on a call of a file tool: on the strictest of the paths that it touches."""
        paths = _touched(tool, args)
        if paths is None:
            return RuleDecision(outcome="deny", reason=f"{tool} names no path")
        return strictest(self._judge(tool, plain_path(path)) for path in paths)

    def _judge(self, tool: str, path: str) -> RuleDecision:
        folder = tool in _SEARCHING or tool == "ls"
        for effect in EFFECTS:
            for rule, pattern in self._rules[effect]:
                if rule.tool in (tool, "*") and pattern.matches(path, strict=effect != "allow", folder=folder):
                    if effect == "ask" and not self._named(tool, path, folder):
                        break
                    return self._decided(effect, rule, f"{tool} of {path!r}", path)
            if (
                effect == "deny" and tool == "grep" and self._named(tool, path, folder)
            ):  # which shows what is in every file below its folder
                for rule, pattern in self._rules[effect]:
                    if rule.tool in (tool, "*") and pattern.reaches(path):
                        reason = f"{tool} in {path!r} may reach what {rule.text!r} denies"
                        return RuleDecision(
                            outcome="ask", rule=rule.text, place=rule.place(self._origin), reason=reason, part=path
                        )
        return RuleDecision(outcome="deny", reason=f"no rule allows {tool} of {path!r}", part=path)

    def _named(self, tool: str, path: str, folder: bool) -> bool:
        """Whether a rule names the path as it is written. One that asks for it in another case admits nothing new."""
        return any(
            rule.tool in (tool, "*") and pattern.matches(path, strict=False, folder=folder)
            for effect in ("ask", "allow")
            for rule, pattern in self._rules[effect]
        )

    def _decided(self, effect: Outcome, rule: Rule, what: str, path: str) -> RuleDecision:
        words = {"deny": "is denied by", "ask": "needs a person, says", "allow": "is allowed by"}[effect]
        return RuleDecision(
            outcome=effect,
            rule=rule.text,
            place=rule.place(self._origin),
            reason=f"{what} {words} {rule.text!r}",
            part=path,
        )


def _touched(tool: str, args: Mapping[str, JsonValue]) -> tuple[str, ...] | None:
    """Return the paths that a call touches; None where it names none and has no default."""
    given = args.get("file_path", args.get("path"))
    if not isinstance(given, str) or "\0" in given:
        if given is None and tool in _SEARCHING | {"ls"}:
            given = "."
        else:
            return None
    pattern = args.get("pattern" if tool == "glob" else "glob") if tool in _SEARCHING else None
    if not isinstance(pattern, str):
        return (given,)
    fixed = _WILD.split(pattern, maxsplit=1)[0]
    fixed = fixed if "/" not in fixed else fixed.rsplit("/", 1)[0] or "/"
    leads = [posixpath.join(given, fixed)] if "/" in pattern and fixed else []
    if ".." in re.split(r"[/{},]", pattern):
        leads.append(posixpath.join(given, "../" * pattern.count("..")))
    return (given, *leads)
