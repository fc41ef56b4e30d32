"""A person at a terminal: sees the question, and approves, edits, rejects or answers."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel

from assay.app.people import LocalPeople
from assay.records.decisions import DecisionType, Question
from assay.reports.untrusted import make_visible
from assay.store.protocol import Clock

_KEYS = {
    "a": DecisionType.APPROVE,
    "e": DecisionType.EDIT,
    "r": DecisionType.REJECT,
    "m": DecisionType.RESPOND,
}
_HELP = {
    DecisionType.APPROVE: "a  approve",
    DecisionType.EDIT: "e  edit in your editor, then approve that",
    DecisionType.REJECT: "r  reject, with a reason",
    DecisionType.RESPOND: "m  answer with a message to the agent",
}


class TerminalDecider:
    """Asks on the terminal. End of input leaves the question open, and the run parks."""

    def __init__(self, console: Console, people: LocalPeople, clock: Clock) -> None:
        self._console, self._people, self._clock = console, people, clock

    async def decide(self, question: Question, *, refused: str | None) -> dict[str, Any] | None:
        """Show the question and return the person's answer, or None at the end of input."""
        self._console.print(
            Panel(
                Markdown(make_visible(question.description)),
                title=f"⏸ {question.kind.value}: {question.title}",
                subtitle=f"{question.unit or question.run}  {question.digest[:19]}",
            )
        )
        if refused:
            self._console.print(f"The answer before did not count: {make_visible(refused)}", style="yellow")
        while True:
            keys = [key for key, kind in _KEYS.items() if kind in question.allowed]
            pressed = await self._line(f"[{'/'.join(keys)}/?] ")
            if pressed is None:
                return None
            kind = _KEYS.get(pressed.strip().lower()[:1])
            if kind is None or kind not in question.allowed:
                self._console.print(
                    "\n".join([*(_HELP[k] for k in question.allowed), "^D  decide later: the run parks"])
                )
                continue
            message, args = "", None
            if kind in (DecisionType.REJECT, DecisionType.RESPOND):
                message = (await self._line("why? " if kind is DecisionType.REJECT else "message: ")) or ""
                if kind is DecisionType.RESPOND and not message.strip():
                    continue
            if kind is DecisionType.EDIT:
                args = await self._edit(question)
                if args is None:
                    continue
            return self._people.answer(
                question, kind, by=getpass.getuser(), via="terminal", at=self._clock.now(), message=message, args=args
            )

    async def _line(self, prompt: str) -> str | None:
        """Return a line of input, or None at its end. Waits on the event loop, so that Ctrl-C is heard."""
        self._console.print(prompt, end="", markup=False)
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sys.stdin.fileno())
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None

    async def _edit(self, question: Question) -> dict[str, Any] | None:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="assay-edit-") as folder:
            path = Path(folder) / f"{question.kind.value}.yaml"
            path.write_text(yaml.safe_dump(question.args, sort_keys=False, allow_unicode=True), encoding="utf-8")
            process = await asyncio.create_subprocess_exec(*shlex.split(editor), str(path))
            if await process.wait() != 0:
                self._console.print(f"{editor} failed; nothing was changed", style="yellow")
                return None
            try:
                edited = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                self._console.print(f"what you wrote does not parse: {error}", style="yellow", markup=False)
                return None
        if not isinstance(edited, dict) or edited == question.args:
            self._console.print("nothing was changed", style="yellow")
            return None
        return edited
