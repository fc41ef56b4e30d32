"""Plain `docker run`, for the oracle and the baselines: files in, outputs out, nothing of assay's."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

LIMIT = 60
"""Seconds for one command."""
CLEAN = "/tmp/clean"
_OUT = "/tmp/out"
_HOME = "/tmp/home"


@dataclass(frozen=True)
class Laid:
    """A file as it lies in a tree."""

    data: bytes
    executable: bool = False
    link: bool = False
    """Whether `data` is where a symbolic link leads."""


Tree = Mapping[str, Laid]


@dataclass(frozen=True)
class Run:
    """A command with the variables that it sees beside the usual ones."""

    argv: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit code as `timeout` gives it (124: too slow), and standard output."""

    code: int
    out: bytes


class ContainerFailed(RuntimeError):
    """The engine could not run the container, or nothing came out of it: that says nothing about what was judged."""


@lru_cache(maxsize=8)
def image_of(name: str) -> str | None:
    """Return the image that an assay profile of this name uses; None where the engine does not hold it."""
    tag = f"assay-sandbox/{name}:latest"  # a memo: it stays the same while a benchmark runs, and is asked for often
    found = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Id}}", tag], check=False, capture_output=True, text=True
    )
    return found.stdout.strip() if found.returncode == 0 else None


def run_in_container(
    image: str,
    tree: Tree,
    runs: Sequence[Run],
    *,
    at: str = CLEAN,
    home: Tree | None = None,
    collect: Sequence[str] = (),
) -> tuple[list[Ran], dict[str, bytes]]:
    """Lay a tree down in a fresh container, run commands in it one after the other, and return what each gave.

    Args:
        image: an image with `sh`, `tar` and `timeout`.
        tree: the files.
        runs: the commands.
        at: folder for the tree.
        home: files of the home folder.
        collect: files that the commands write below `/tmp/out`, to be returned where they are there.

    Raises ContainerFailed.
    """
    argv = ["docker", "run", "--rm", "-i", "--network", "none", "--user", "10001:10001", "--cap-drop", "ALL"]
    argv += ["--security-opt", "no-new-privileges", "--memory", "512m", "--pids-limit", "200", "--entrypoint", "sh"]
    argv += ["--workdir", "/tmp", image, "-c", _script(runs, at)]
    files = {f"{at}/{path}": file for path, file in tree.items()}
    files |= {f"{_HOME}/{path}": file for path, file in (home or {}).items()}
    limit = LIMIT * (len(runs) + 1)
    try:
        done = subprocess.run(argv, input=_pack(files), capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise ContainerFailed(f"the container ran for more than {limit} s") from error
    found = _unpack(done.stdout)
    if done.returncode != 0 or "whole" not in found:
        raise ContainerFailed(f"docker run ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    ran = [Ran(int(found.get(f"{n}.code", b"-1") or b"-1"), found.get(f"{n}.out", b"")) for n in range(len(runs))]
    return ran, {name: found[name] for name in collect if name in found}


def _script(runs: Sequence[Run], at: str) -> str:
    lines = [f"mkdir -p {_OUT} {_HOME} {shlex.quote(at)} && tar -x -f - -C / && cd {shlex.quote(at)} || exit 9"]
    lines.append(f"export HOME={_HOME} LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1")
    for number, run in enumerate(runs):
        variables = " ".join(shlex.quote(f"{name}={value}") for name, value in run.variables)
        command = f"env {variables} timeout -k 2 {LIMIT} {shlex.join(run.argv)}"
        lines.append(f"{command} >{_OUT}/{number}.out 2>{_OUT}/{number}.err </dev/null; echo $? >{_OUT}/{number}.code")
    lines.append(f"echo yes >{_OUT}/whole; tar -c -f - -C {_OUT} .")
    return "\n".join(lines)


def _pack(files: Tree) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode = 0o755 if file.executable else 0o644
            entry.uid = entry.gid = 10001
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.data.decode()
                archive.addfile(entry)
            else:
                entry.size = len(file.data)
                archive.addfile(entry, io.BytesIO(file.data))
    return buffer.getvalue()


def _unpack(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isfile() else None
                if file is not None:
                    found[PurePosixPath(entry.name).name] = file.read()
    except tarfile.TarError as error:
        raise ContainerFailed(f"what came out is no archive: {error}") from error
    return found
