"""The few commands that a fake sandbox knows by itself: enough for the conformance suite and for simple tests."""

from __future__ import annotations

import asyncio
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from assay.records.sandboxes import Ending, Exited, Signalled

Built = tuple[Ending, bytes, bytes, bytes]
"""How it ended, stdout, stderr, report."""

_EXIT: Final = re.compile(r"exit (\d+)")
_SUICIDE: Final = re.compile(r"kill -(\d+) \$\$")
_REDIRECTED: Final = re.compile(r"cat >&([23])")


async def run_built_in(
    command: tuple[str, ...] | str,
    stdin: bytes,
    env: Mapping[str, str],
    cwd: str,
    read: Callable[[str], bytes],
) -> Built:
    """Run a command that needs no process: `true`, `false`, `echo`, `cat`, `pwd`, `printenv`, `sleep`, `head -c`.

    A shell string is one of them, or `exit N`, `kill -N $$`, `cat >&2`, `cat >&3`. Everything else is not found.
    """
    if isinstance(command, str) or command[:2] in (("sh", "-c"), ("/bin/sh", "-c")):
        return await _run_shell(command if isinstance(command, str) else command[2], stdin, env, cwd, read)
    return await _run_vector(command, stdin, env, cwd, read)


async def _run_shell(text: str, stdin: bytes, env: Mapping[str, str], cwd: str, read: Callable[[str], bytes]) -> Built:
    if match := _EXIT.fullmatch(text.strip()):
        return Exited(code=int(match[1])), b"", b"", b""
    if match := _SUICIDE.fullmatch(text.strip()):
        return Signalled(signal=int(match[1])), b"", b"", b""
    if match := _REDIRECTED.fullmatch(text.strip()):
        return (Exited(code=0), b"", stdin, b"") if match[1] == "2" else (Exited(code=0), b"", b"", stdin)
    return await _run_vector(tuple(shlex.split(text)), stdin, env, cwd, read)


async def _run_vector(
    argv: tuple[str, ...], stdin: bytes, env: Mapping[str, str], cwd: str, read: Callable[[str], bytes]
) -> Built:
    match argv:
        case ("true",):
            return _done(b"")
        case ("false",):
            return Exited(code=1), b"", b"", b""
        case ("echo", *words):
            return _done(" ".join(words).encode(errors="surrogateescape") + b"\n")
        case ("cat",):
            return _done(stdin)
        case ("cat", *paths):
            try:
                return _done(b"".join(read(posixpath.normpath(posixpath.join(cwd, path))) for path in paths))
            except OSError as error:
                return Exited(code=1), b"", f"cat: {error.filename}: {error.strerror}\n".encode(), b""
        case ("pwd",):
            return _done(cwd.encode() + b"\n")
        case ("printenv", name):
            return _done(env[name].encode() + b"\n") if name in env else (Exited(code=1), b"", b"", b"")
        case ("sleep", seconds):
            await asyncio.sleep(float(seconds))
            return _done(b"")
        case ("head", "-c", count, "/dev/zero"):
            return _done(bytes(int(count)))
        case _:
            name = argv[0] if argv else ""
            return Exited(code=127), b"", f"assay: cannot run {name!r}: No such file or directory\n".encode(), b""


def _done(stdout: bytes) -> Built:
    return Exited(code=0), stdout, b"", b""
