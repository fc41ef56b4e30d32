"""The person's own programs on the terminal: editor and pager."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.cli.questions import render_diff

_EDITORS = ("sensible-editor", "nano", "vi")


async def edit_text(text: str, name: str, console: Console) -> str | None:
    """Return a text as the person's editor leaves it, or None where it fails; says why on the console.

    Args:
        text: what to begin with.
        name: of the file, for the editor's choice of colours.
        console: where to say what went wrong.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, _EDITORS), None)
    if editor is None:
        console.print("no editor was found; name one in $EDITOR", style="yellow")
        return None
    with tempfile.TemporaryDirectory(prefix="assay-edit-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        if not await _run([*shlex.split(editor), str(path)], console):
            return None
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            console.print(Text(f"what {editor} left cannot be read: {error}", "yellow"))
            return None


async def page_text(patch: str, console: Console) -> None:
    """Show a patch: in the person's pager where it is longer than the screen, else as it is."""
    rendered = render_diff(iter(patch.splitlines()))
    pager = os.environ.get("PAGER") or next(filter(shutil.which, ("less", "more")), None)
    if pager is None or patch.count("\n") < console.height - 2:
        console.print(rendered)
        return
    with tempfile.TemporaryDirectory(prefix="assay-diff-") as folder:
        path = Path(folder) / "change.diff"
        with console.capture() as captured:
            console.print(rendered)
        path.write_text(captured.get(), encoding="utf-8", errors="backslashreplace")
        await _run([*shlex.split(pager), str(path)], console)


async def _run(argv: list[str], console: Console) -> bool:
    # LESSSECURE and an empty LESSOPEN: what is shown was written by others, and must not start programs.
    environment = {**os.environ, "LESS": os.environ.get("LESS", "-R"), "LESSOPEN": "", "LESSSECURE": "1"}
    try:
        process = await asyncio.create_subprocess_exec(*argv, env=environment)
    except OSError as error:
        console.print(Text(f"{argv[0]} cannot be started: {error.strerror or error}", "yellow"), soft_wrap=True)
        return False
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        console.print(Text(f"{argv[0]} ended with {code}", "yellow"), soft_wrap=True)
    return code == 0
