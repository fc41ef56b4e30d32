"""`assay witness`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from assay.app.service import Assay
from assay.app.witnesses import Shown, export_witness, find_witness
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.evidence.witness import STORE_VARIABLE
from assay.reports.untrusted import make_visible, shorten
from assay.sandboxes.engine import Engine

_LONGEST = 600


def show_witness(run: str, claim: str | None, export: Path | None, *, as_json: bool, state: Path | None) -> None:
    """Print what shows a refutation, and write it into a folder where one is named."""

    async def work(streams: Streams) -> None:
        def tell(line: str) -> None:
            streams.say(f"  {line}", "dim")

        async with Assay.open(root=state) as assay:
            shown = await find_witness(assay.house, run, claim)
            files: tuple[str, ...] = ()
            if export is not None:
                engine = Engine()
                try:
                    files = await export_witness(assay.house, shown, export, engine, tell)
                finally:
                    await engine.close()
            command = shown.witness.command.replace(f'"${STORE_VARIABLE}"', shlex.quote(str(assay.house.git.path)), 1)
        if as_json:
            streams.line(_outline(shown, command, export, files))
            return
        for name, text in _facts(shown, command):
            streams.page.print(make_visible(f"{name:<10}{text}"), soft_wrap=True)
        if export is not None:
            streams.page.print(
                make_visible(f"{len(files)} files are in {export}; ./run.sh there shows it"), soft_wrap=True
            )
            if shown.witness.held_out:
                streams.say("assay: they hold held-out tests. Do not show them to whoever writes the change.", "yellow")

    run_session(work)


def _facts(shown: Shown, command: str) -> tuple[tuple[str, str], ...]:
    witness = shown.witness
    packages = "" if shown.image is None else f", {len(shown.image.packages)} packages"
    return (
        ("claim", shown.verdict.claim),
        *((("test", witness.test),) if witness.test else ()),
        ("expected", shorten(witness.expected, _LONGEST)),
        ("got", shorten(witness.got, _LONGEST)),
        *((("image", f"{witness.image}{packages}"),) if witness.image else ()),
        ("again", command),
    )


def _outline(shown: Shown, command: str, export: Path | None, files: tuple[str, ...]) -> dict[str, Any]:
    return {
        "run": shown.run,
        "claim": shown.verdict.claim,
        "witness": {**shown.witness.model_dump(mode="json"), "command": command},
        "packages": list(shown.image.packages) if shown.image is not None else [],
        "folder": None if export is None else str(export),
        "files": list(files),
    }
