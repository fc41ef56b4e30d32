"""The program's command line, run where the program is (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from .proxies import VARIES, Link

_RUN_OPTIONS = frozenset(
    {"input", "stdout", "stderr", "capture_output", "text", "universal_newlines", "encoding", "check", "timeout", "env"}
)


def route_commands(link: Link, names: frozenset[str]) -> None:
    """Let `subprocess.run` of the program's command line happen where the program is."""
    inside = subprocess.run

    def run(*popenargs: Any, **options: Any) -> Any:
        command = popenargs[0] if len(popenargs) == 1 else options.get("args")
        if not isinstance(command, (list, tuple)) or not _is_programs(list(command), names):
            return inside(*popenargs, **options)
        if set(options) - _RUN_OPTIONS - {"args"}:
            raise link.refuse("the program's command line is run with options that cannot cross")
        return _run_there(link, list(command), options)

    subprocess.run = run


def _is_programs(command: list[Any], names: frozenset[str]) -> bool:
    if len(command) < 3 or command[1] != "-m":
        return False
    interpreter = Path(str(command[0])).name
    return interpreter.startswith("python") and command[2] in names


def _run_there(link: Link, command: list[Any], options: dict[str, Any]) -> Any:
    pipes = [options.get(name) for name in ("stdout", "stderr")]
    if any(pipe not in (None, subprocess.PIPE) for pipe in pipes) or _changed(options.get("env")):
        raise link.refuse("the program's command line is run with options that cannot cross")
    text = bool(options.get("text") or options.get("universal_newlines") or options.get("encoding"))
    encoding = options.get("encoding") or "utf-8"
    given = options.get("input")
    if isinstance(given, str):
        given = given.encode(encoding)
    code, *streams = link.ask("run", arguments=[link.encode(a) for a in command[1:]], stdin=link.encode(given))
    kept = [pipe is not None or bool(options.get("capture_output")) for pipe in pipes]
    shown = [stream.decode(encoding).replace("\r\n", "\n") if text else stream for stream in streams]
    out, err = (stream if keep else None for stream, keep in zip(shown, kept, strict=True))
    done = subprocess.CompletedProcess(command, int(code), out, err)
    if options.get("check"):
        done.check_returncode()
    return done


def _changed(variables: dict[str, str] | None) -> bool:
    if variables is None:
        return False
    return {n: v for n, v in variables.items() if n not in VARIES} != {
        n: v for n, v in os.environ.items() if n not in VARIES
    }
