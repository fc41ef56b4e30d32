"""A person at a terminal: sees the question, and approves, edits, rejects or answers."""

from __future__ import annotations

import asyncio
import difflib
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import yaml
from pydantic import ValidationError
from rich.text import Text

from assay.app.people import LocalPeople
from assay.cli.programs import edit_text, page_text
from assay.cli.progress import Progress
from assay.cli.questions import render_diff, render_question
from assay.cli.streams import Streams
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.plans import Plan
from assay.reports.untrusted import make_visible
from assay.store.protocol import Clock

_KEYS: Final = {
    DecisionType.APPROVE: ("a", "approve", "go on; words after it become a remark"),
    DecisionType.EDIT: ("e", "edit", "change it in your editor, see the difference, then approve that"),
    DecisionType.REJECT: ("r", "reject", "say no, with a reason"),
    DecisionType.RESPOND: ("m", "message", "send it back to the agent with a message"),
}
_ASKED_FOR: Final = {DecisionType.REJECT: "why? ", DecisionType.RESPOND: "message: "}


class _Dumper(yaml.SafeDumper):
    """YAML as a person edits it: texts of several lines stand there as such."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)

Diff = Callable[[Question], Awaitable[str]]
"""Returns the patch that a question is about; empty where it is about none."""


class TerminalDecider:
    """Asks on the terminal. End of input leaves the question open, and the run parks."""

    def __init__(self, streams: Streams, progress: Progress, people: LocalPeople, clock: Clock, diff: Diff) -> None:
        self._streams, self._progress, self._people, self._clock = streams, progress, people, clock
        self._diff = diff
        self._console = streams.progress

    async def decide(self, question: Question, *, refused: str | None) -> dict[str, Any] | None:
        """Show the question and return the person's answer, or None at the end of input."""
        with self._progress.paused():
            patch = await self._diff(question)
            self._console.print(render_question(question))
            if refused:
                self._warn(f"The answer before did not count: {refused}")
            self._offer(question, patch)
            while True:
                line = await self._line("> ")
                if line is None:
                    self._console.print("left open")
                    return None
                key, _, rest = line.strip().partition(" ")
                if patch and key.lower() in {"d", "diff"}:
                    await page_text(patch, self._console)
                    continue
                kind = next((kind for kind in question.allowed if key.lower() in _KEYS[kind][:2]), None)
                if kind is None:
                    self._offer(question, patch, explained=True)
                elif (answer := await self._answer(question, kind, rest.strip())) is not None:
                    return answer

    async def _answer(self, question: Question, kind: DecisionType, message: str) -> dict[str, Any] | None:
        """Return the person's answer of this kind, or None where they leave it."""
        if kind in _ASKED_FOR and not message:
            message = (await self._line(_ASKED_FOR[kind]) or "").strip()
            if not message:
                self._warn("nothing was said; the question is still open")
                return None
        args = await self._edit(question) if kind is DecisionType.EDIT else None
        if kind is DecisionType.EDIT and args is None:
            return None
        return self._people.answer(
            question, kind, by=getpass.getuser(), via="terminal", at=self._clock.now(), message=message, args=args
        )

    def _offer(self, question: Question, patch: str, *, explained: bool = False) -> None:
        offered = [_KEYS[kind] for kind in question.allowed]
        offered += [("d", "diff", "read the change")] if patch else []
        offered += [("^D", "later", "leave it open: the run parks, and `assay resume` asks again")]
        if explained:
            for key, name, meaning in offered:
                self._console.print(Text(f"  {key:>2} {name:<8} {meaning}"))
            return
        text = Text()
        for key, name, _ in offered:
            text.append(key, "bold")
            text.append(f" {name}   ")
        self._console.print(text.append("?", "bold").append(" help"))

    async def _line(self, prompt: str) -> str | None:
        """Return a line of input, or None at its end. Waits on the event loop, so that Ctrl-C is heard."""
        self._console.print(prompt, end="")
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sys.stdin.fileno())
        line = sys.stdin.readline()
        if not line:
            self._console.print()
        return line.rstrip("\n") if line else None

    async def _edit(self, question: Question) -> dict[str, Any] | None:
        """Return what a person made of the thing that is asked about, or None where they left it."""
        before = text = yaml.dump(question.args, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        while True:
            changed = await edit_text(text, f"{question.kind.value}.yaml", self._console)
            if changed is None or changed == before:
                self._warn("nothing was changed")
                return None
            text = changed
            args, problem = _read_edit(question, text)
            if problem:
                self._warn(f"this cannot be used: {problem}")
                if await self._agreed("Edit it again?"):
                    continue
                return None
            lines = difflib.unified_diff(before.splitlines(), text.splitlines(), "as asked", "as edited", lineterm="")
            self._console.print(render_diff(iter(lines)))
            return args if await self._agreed("Approve this?") else None

    async def _agreed(self, asked: str) -> bool:
        return (await self._line(f"{asked} [y/N] ") or "").strip().lower() in {"y", "yes"}

    def _warn(self, text: str) -> None:
        self._console.print(Text(make_visible(text), "yellow"))


def _read_edit(question: Question, text: str) -> tuple[dict[str, Any], str]:
    """Return the edited arguments, and why they cannot be used, or nothing."""
    try:
        edited = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return {}, f"it does not parse: {error}"
    if not isinstance(edited, dict):
        return {}, "it is no mapping"
    if question.kind is CheckpointKind.PLAN:
        try:
            Plan.model_validate(edited.get("plan"))
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc'])) or 'the plan'}: {e['msg']}" for e in error.errors()[:5])
            return {}, "; ".join(problems)
    return edited, ""
