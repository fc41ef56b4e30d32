"""The scanners that gates use: programs of their own that read files on the host, and run nothing of them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from assay.errors import ConfigurationError
from assay.evidence.gates.looks import MOST_BYTES, ChangedFile
from assay.policies.settings import Settings

_MODULES: Final = {"secrets": ("detect_secrets", "detect-secrets"), "security": ("bandit", "bandit")}
_SECONDS: Final = 300.0
_ENDING: Final = re.compile(r"[^.].*(\.[A-Za-z0-9]{1,12})")
_WORD: Final = re.compile(r"[A-Za-z]{1,20}")

Naming = Callable[[ChangedFile], tuple[str, bytes]]
"""Under which name, and with which content, a scanner gets to see a file."""


def neutral(file: ChangedFile) -> tuple[str, bytes]:
    """Return a name that says nothing but the kind of file, and the content as UTF-8, whatever it was before.

    Scanners pass files over by their names, and at a byte that they cannot read.
    """
    last = file.path.rpartition("/")[2]
    found = _ENDING.fullmatch(last)
    whole = last if _WORD.fullmatch(last) else "file.txt"  # `Dockerfile` tells its kind by all of its name
    return f"file{found[1]}" if found else whole, file.text.encode("utf-8", "replace")


class ScannerFailed(Exception):
    """A scanner did not come to an end that says anything; the message says why."""


def check_tools(settings: Settings) -> None:
    """Raise ConfigurationError where a gate needs a scanner that is not installed; never pass it over in silence."""
    for name, gate in sorted(settings.gates.items()):
        if gate.kind in _MODULES:
            module, package = _MODULES[gate.kind]
            if importlib.util.find_spec(module) is None:
                raise ConfigurationError(
                    f"the gate {name!r} needs {package}, which is not installed", next_step="pip install 'assay[gates]'"
                )
        if gate.rules and shutil.which("semgrep") is None:
            raise ConfigurationError(
                f"the gate {name!r} names rules for semgrep, which is not installed",
                next_step="pip install semgrep into an environment of its own, and put it on the PATH",
            )
        for rules in gate.rules:
            if not Path(rules).exists():
                raise ConfigurationError(
                    f"the gate {name!r} names rules that do not exist: {rules}",
                    next_step="name a file or folder, absolute or relative to the file with the settings",
                )


async def scan(
    command: Sequence[str], files: Sequence[ChangedFile], naming: Naming = neutral
) -> tuple[bytes, dict[str, str]]:
    """Run a scanner over files in a folder of their own, and return what it prints.

    Args:
        command: its words; `{}` in one of them is the folder.
        files: what it reads; too long ones and those that are no text are left out.
        naming: what it sees of each of them.

    Returns its output, and from the path of each file in the folder to its path in the change. Raises ScannerFailed.
    """
    with tempfile.TemporaryDirectory(prefix="assay-gate-") as folder:
        names = await asyncio.to_thread(_lay_out, Path(folder), files, naming)
        if not names:
            return b"", {}
        words = [word.replace("{}", folder) for word in command]
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
        except BaseException as error:
            process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise ScannerFailed(f"{_name(command)} ran out of its {_SECONDS:g} seconds") from error
            raise
        if process.returncode != 0:
            said = err.decode(errors="replace").strip()[-300:]
            raise ScannerFailed(f"{_name(command)} ended with exit code {process.returncode}: {said}")
        return out, names


def python_tool(module: str) -> list[str]:
    """Return the words that run a scanner of this interpreter, apart from the user's own settings of Python."""
    return [sys.executable, "-I", "-m", module]


def _lay_out(folder: Path, files: Sequence[ChangedFile], naming: Naming) -> dict[str, str]:
    """Write the files, each into a folder with a number: their own names may be anything. Returns name to path."""
    names = {}
    for number, file in enumerate(files):
        if file.is_text and len(file.data) <= MOST_BYTES:
            last, data = naming(file)
            (folder / str(number)).mkdir()
            (folder / str(number) / last).write_bytes(data)
            names[f"{number}/{last}"] = file.path
    return names


def _name(command: Sequence[str]) -> str:
    return command[3] if command[1:3] == ["-I", "-m"] else Path(command[0]).name
