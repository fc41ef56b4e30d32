"""git as a program: run with a configuration and an environment of ours, never the user's or a repository's.

GitPython starts the processes. What it would let in from outside is shut out here: the variables
`GIT_*` of the environment, the files of system and user, hooks, filters, attributes and replace refs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from assay.errors import DiskFull, InfrastructureError, RepositoryError
from assay.store.files import is_full

CONFIGURATION: Final = """\
[core]
	repositoryFormatVersion = 0
	bare = true
	hooksPath = /dev/null
	fsmonitor = false
	untrackedCache = false
	attributesFile = /dev/null
	excludesFile = /dev/null
	logAllRefUpdates = false
	commitGraph = false
	multiPackIndex = false
	protectHFS = true
	protectNTFS = true
	quotePath = true
	fsync = committed,pack-metadata,reference
	filesRefLockTimeout = 5000
	packedRefsTimeout = 5000
[gc]
	auto = 0
[maintenance]
	auto = false
[pack]
	useBitmaps = false
	writeReverseIndex = false
[diff]
	renameLimit = 2000
[protocol]
	allow = never
[submodule]
	recurse = false
"""
"""The whole of the configuration that any git started here reads."""

_OLDEST_GIT: Final = (2, 38)
_SECONDS: Final = 900.0
_STALE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class GitResult:
    """How a git command ended."""

    code: int
    out: bytes
    err: str


class GitCommands:
    """Runs git on one git directory."""

    def __init__(self, git_dir: Path, place: Path | None = None) -> None:
        """Name the git directory.

        Args:
            git_dir: where git runs.
            place: what errors name in its stead, where it stands for something else.

        Raises InfrastructureError where there is no git.
        """
        try:
            from git.cmd import Git
        except ImportError as error:  # GitPython looks for the program when it is imported
            raise _not_found() from error
        self.git_dir = git_dir
        self.place = place or git_dir
        self._git = Git(str(git_dir))

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        accept: tuple[int, ...] = (0,),
        work_tree: Path | None = None,
        index: Path | None = None,
    ) -> GitResult:
        """Run one command to its end.

        Args:
            arguments: the git command and its arguments.
            stdin: given to it, then closed.
            accept: exit codes that are answers and not failures.
            work_tree: where a command that compares with files finds them.
            index: index file for this command.

        Raises DiskFull, RepositoryError (no permission) or InfrastructureError for any other exit code.
        """
        process = self._start(arguments, subprocess.PIPE, work_tree=work_tree, index=index)
        return self._finish(process, arguments, stdin, accept)

    def update_refs(self, *arguments: str, stdin: bytes = b"") -> None:
        """Run `update-ref` on a store of ours; a lock that a killed git left behind does not stop it for ever.

        Raises as `run` does.
        """
        done = self.run("update-ref", *arguments, stdin=stdin, accept=(0, 1, 128))
        held = re.search(r"Unable to create '([^']+\.lock)': File exists", done.err)
        if held is not None and self._is_stale(Path(held[1])):
            Path(held[1]).unlink(missing_ok=True)
            done = self.run("update-ref", *arguments, stdin=stdin, accept=(0, 1, 128))
        if done.code != 0:
            raise _failure(self.place, ("update-ref", *arguments), done.code, done.err)

    def _is_stale(self, lock: Path) -> bool:
        # git holds such a lock for milliseconds.
        try:
            age = time.time() - lock.stat().st_mtime
        except FileNotFoundError:
            return True
        return lock.is_relative_to(self.git_dir) and age > _STALE_SECONDS

    def pipe(self, arguments: tuple[str, ...], stdin: bytes, into: GitCommands, then: tuple[str, ...]) -> GitResult:
        """Run one command here, with its output going into another one there; return how that one ended."""
        source = self._start(arguments, subprocess.PIPE)
        given, taken, told = pipes_of(source)
        try:
            # The first one (pack-objects) reads all of its input before it writes anything.
            with suppress(BrokenPipeError):
                given.write(stdin)
                given.close()
            sink = into._start(then, taken)
            taken.close()
            result = into._finish(sink, then, None, accept=tuple(range(256)))
        finally:
            with suppress(BrokenPipeError):
                given.close()
            taken.close()
            err = told.read().decode(errors="replace")
            told.close()
            code = source.wait(_SECONDS)
        if code not in {0, -signal.SIGPIPE}:  # a broken pipe is the doing of the one that reads
            raise _failure(self.place, arguments, code, err)
        if result.code != 0:
            raise _failure(into.place, then, result.code, result.err)
        return result

    def serve(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that answers requests until its input is closed."""
        return self._start(arguments, subprocess.PIPE)

    def check_version(self) -> None:
        """Raise InfrastructureError where git is too old."""
        text = self.run("version").out.decode(errors="replace").strip()
        found = re.search(r"(\d+)\.(\d+)", text)
        if found is None or (int(found[1]), int(found[2])) < _OLDEST_GIT:
            raise InfrastructureError(
                f"git is too old: {text}", next_step="install git 2.38 or newer and put it first on PATH"
            )

    def _start(
        self,
        arguments: Iterable[str],
        stdin: object,
        *,
        work_tree: Path | None = None,
        index: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        environment = _ENVIRONMENT | {"GIT_DIR": str(self.git_dir)}
        if work_tree is not None:
            environment["GIT_WORK_TREE"] = str(work_tree)
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        # GitPython adds to the environment and cannot take away; `env -u` does, where there is something to take.
        foreign = [name for name in os.environ if name not in environment and _FOREIGN.match(name)]
        prefix = ["env", *(option for name in foreign for option in ("-u", name))] if foreign else []
        if shutil.which("git") is None:
            raise _not_found()
        started = self._git.execute(
            [*prefix, "git", *arguments],
            istream=stdin,  # type: ignore[call-overload]  # its annotations leave out PIPE, its documentation does not
            as_process=True,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for assay, which ends its steps itself
        )
        process: subprocess.Popen[bytes] = started.proc
        started.proc = None  # the wrapper would end the process when it is collected
        return process

    def _finish(
        self, process: subprocess.Popen[bytes], arguments: Iterable[str], stdin: bytes | None, accept: tuple[int, ...]
    ) -> GitResult:
        try:
            out, err = process.communicate(stdin, timeout=_SECONDS)
        except BaseException as error:
            process.kill()
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise InfrastructureError(
                    f"git {_named(arguments)} did not end within {_SECONDS:.0f} seconds on {self.place}"
                ) from error
            raise
        result = GitResult(process.returncode, out, err.decode(errors="replace"))
        if result.code not in accept:
            raise _failure(self.place, arguments, result.code, result.err)
        return result


def pipes_of(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Return the standard input, output and error of a process that was started with pipes for all three."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise InfrastructureError("a process was started without its pipes")
    return process.stdin, process.stdout, process.stderr


_ENVIRONMENT: Final = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LITERAL_PATHSPECS": "1",
}

_FOREIGN: Final = re.compile(r"GIT_(?!SSL_|SSH|ASKPASS|EDITOR|SEQUENCE_EDITOR|PAGER|AUTHOR_|COMMITTER_|PYTHON_)")
"""Variables that git must not see. Those left out here do nothing to the commands that are run, and are common."""

_Errors = tuple[tuple[str, Callable[[str, Path], Exception]], ...]
_FULL: Final = r"No space left on device|Disk quota exceeded|Out of diskspace"
_KNOWN: Final[_Errors] = (
    (
        r"Permission denied|insufficient permission|Read-only file system",
        lambda err, place: RepositoryError(
            f"no permission in {place}: {err}", next_step="make it readable and writable for the user that runs assay"
        ),
    ),
)


def _not_found() -> InfrastructureError:
    return InfrastructureError(
        "the program git was not found", next_step="install git, for instance with `apt-get install git`"
    )


def _failure(place: Path, arguments: Iterable[str], code: int, err: str) -> Exception:
    text = err.strip()[-2000:]
    if re.search(_FULL, text) or is_full(place):
        return DiskFull(f"no space left for {place}", next_step="free some space there, and go on")
    for pattern, error in _KNOWN:
        if re.search(pattern, text):
            return error(text, place)
    return InfrastructureError(f"git {_named(arguments)} failed on {place} with exit code {code}: {text}")


def _named(arguments: Iterable[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")
