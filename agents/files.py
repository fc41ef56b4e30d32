"""The file tools on a sandbox. What goes wrong becomes text for the model; only a lost sandbox is raised."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pathspec import GitIgnoreSpec

from assay.agents.globs import compile_glob
from assay.agents.outputs import ENTRIES, cut_line, describe_command, list_matches, list_paths, read_matches, shorten
from assay.agents.tools import EditFile, Execute, Glob, Grep, Ls, ReadFile, WriteFile
from assay.errors import DiskFull
from assay.records.base import Record
from assay.records.sandboxes import CommandResult, Exited
from assay.sandboxes.protocol import HELD_OUT, WORKSPACE, Sandbox

SCRATCH: Final = "/tmp"  # noqa: S108 - a place in the sandbox, which is nobody else's

READ_BYTES: Final = 5_000_000
LISTING_BYTES: Final = 8_000_000
COMMAND_SECONDS: Final = 1_800
"""Longest time-out that a model may ask for."""
OUTPUT_BYTES: Final = 64_000
"""Kept of each stream of a command for the model."""


class ToolFailed(Exception):
    """The call did not do what it should; the text is for the model."""


@dataclass(frozen=True, slots=True)
class FileTools:
    """The tools of one role in one sandbox."""

    sandbox: Sandbox
    may_change: tuple[str, ...]
    """gitignore-style patterns; empty means that the workspace is read-only."""
    held_out: bool
    executable: Callable[[str], bool]
    """Says whether a file of the workspace was executable when it was last looked at."""

    async def run(self, call: Record) -> str:
        """Do what the call asks for and return text for the model.

        Raises:
            ToolFailed: it could not be done; the text says why.
            SandboxLost: the sandbox is gone.
        """
        try:
            return shorten(await self._dispatch(call))
        except FileNotFoundError as error:
            raise ToolFailed(f"not found: {_named(call, error)}") from error
        except IsADirectoryError as error:
            raise ToolFailed(f"this is a folder: {_named(call, error)}") from error
        except NotADirectoryError as error:
            raise ToolFailed(f"a part of the path is not a folder: {_named(call, error)}") from error
        except PermissionError as error:
            raise ToolFailed(f"not permitted: {_named(call, error)}") from error
        except DiskFull as error:
            raise ToolFailed("there is no space left in the sandbox; delete what you do not need") from error
        except (ValueError, OSError) as error:
            raise ToolFailed(str(error)) from error

    async def _dispatch(self, call: Record) -> str:
        match call:
            case Ls():
                return await self._ls(_absolute(call.path))
            case ReadFile():
                return await self._read(call)
            case WriteFile():
                return await self._write(call)
            case EditFile():
                return await self._edit(call)
            case Glob():
                return await self._glob(call)
            case Grep():
                return await self._grep(call)
            case Execute():
                return await self._execute(call)
            case _:
                raise ToolFailed(f"there is no tool for {type(call).__name__}")

    async def _ls(self, path: str) -> str:
        result = await self._command(["ls", "-1Ap", "--", path], what=path)
        return result.stdout.text.rstrip("\n") or f"{path} is empty"

    async def _read(self, call: ReadFile) -> str:
        path = _absolute(call.file_path)
        text = await self._text(path)
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        if not lines:
            return f"{path} is empty"
        first = max(call.offset, 0)
        if first >= len(lines):
            raise ToolFailed(f"line {first} is past the end: {path} has {len(lines)} lines")
        wanted = lines[first : first + max(call.limit, 1)]
        shown = "\n".join(f"{n:>6}  {cut_line(line)}" for n, line in enumerate(wanted, first + 1))
        rest = len(lines) - first - len(wanted)
        return shown + (f"\n[{rest} more lines; read on with offset={first + len(wanted)}]" if rest else "")

    async def _write(self, call: WriteFile) -> str:
        path = self._changeable(call.file_path)
        await self.sandbox.write(path, _encode(call.content), executable=self.executable(path))
        return f"wrote {path}, {len(call.content.splitlines())} lines"

    async def _edit(self, call: EditFile) -> str:
        path = self._changeable(call.file_path)
        if call.old_string == call.new_string:
            raise ToolFailed("old_string and new_string are the same")
        if not call.old_string:
            raise ToolFailed("old_string is empty; use write_file to write a file whole")
        text = await self._text(path)
        count = text.count(call.old_string)
        if count == 0:
            hint = "; the file has CRLF line ends" if "\r\n" in text and "\n" in call.old_string else ""
            raise ToolFailed(f"old_string is not in {path}{hint}. Read the file, and copy the text exactly")
        if count > 1 and not call.replace_all:
            raise ToolFailed(
                f"old_string is {count} times in {path}; give more of its surroundings, or set replace_all"
            )
        changed = text.replace(call.old_string, call.new_string)
        await self.sandbox.write(path, _encode(changed), executable=self.executable(path))
        return f"replaced {count} time{'s' if count > 1 else ''} in {path}"

    async def _glob(self, call: Glob) -> str:
        root = _absolute(call.path)
        matches = compile_glob(call.pattern)
        argv = ["find", root, "-name", ".git", "-prune", "-o", "-type", "d", "-o", "-print0"]
        result = await self._command(argv, what=root)
        paths = [p for p in result.stdout.head.decode(errors="backslashreplace").split("\0") if p]
        found = sorted(p for p in paths if matches(posixpath.relpath(p, root)))
        return list_paths(found, "no file matches", cut=result.stdout.cut)

    async def _grep(self, call: Grep) -> str:
        if not call.pattern:
            raise ToolFailed("the pattern is empty")
        root = _absolute(call.path)
        argv = ["grep", "-rnIFHZ", "--exclude-dir=.git", "-e", call.pattern, "--", root]
        result = await self._command(argv, what=root, fine=(0, 1))
        matches = sorted(read_matches(result.stdout.head.decode(errors="backslashreplace")), key=lambda m: m[0])
        if call.glob is not None:
            wanted = compile_glob(call.glob)
            matches = [m for m in matches if wanted(posixpath.relpath(m[0], root) if m[0] != root else root)]
        limit = min(call.max_count or ENTRIES, ENTRIES)
        cut = len(matches) > limit or result.stdout.cut
        return list_matches(matches[:limit], call.output_mode, cut=cut)

    async def _execute(self, call: Execute) -> str:
        if not call.command.strip():
            raise ToolFailed("the command is empty")
        if call.timeout is not None and call.timeout > COMMAND_SECONDS:
            raise ToolFailed(f"timeout is {call.timeout} s; {COMMAND_SECONDS} s is the longest")
        result = await self.sandbox.run(call.command, timeout=call.timeout or None, output_limit=OUTPUT_BYTES)
        return describe_command(result)

    async def _command(self, argv: Sequence[str], *, what: str, fine: tuple[int, ...] = (0,)) -> CommandResult:
        result = await self.sandbox.run(argv, timeout=60, output_limit=LISTING_BYTES)
        if isinstance(result.ending, Exited) and (result.ending.code in fine or result.stdout.length):
            return result
        raise ToolFailed(result.stderr.text.strip()[:1_000] or f"{argv[0]} did not work on {what}")

    async def _text(self, path: str) -> str:
        data = await self.sandbox.read(path, limit=READ_BYTES)
        if b"\0" in data:
            raise ToolFailed(f"{path} is not text; it has {len(data)} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise ToolFailed(f"{path} is not UTF-8 text; use execute to work on it") from error

    def _changeable(self, path: str) -> str:
        """Return the path where it may be written; tells early what the floor would throw away later."""
        path = _absolute(path)
        if _inside(path, SCRATCH) or (self.held_out and _inside(path, HELD_OUT)):
            return path
        if not _inside(path, WORKSPACE):
            raise ToolFailed(f"{path} is outside of {WORKSPACE}")
        if not self.may_change:
            raise ToolFailed(f"the workspace is read-only for you; {SCRATCH} is yours")
        relative = posixpath.relpath(path, WORKSPACE)
        if ".git" in relative.split("/"):
            raise ToolFailed("nothing under .git is kept")
        if not GitIgnoreSpec.from_lines(self.may_change).match_file(relative):
            raise ToolFailed(f"you may change only {', '.join(self.may_change)}; {relative} is not among them")
        return path


def _absolute(path: str | None) -> str:
    return posixpath.normpath(posixpath.join(WORKSPACE, path or WORKSPACE))


def _inside(path: str, root: str) -> bool:
    return path.startswith(root + "/")


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _named(call: Record, error: OSError) -> str:
    return str(getattr(call, "file_path", None) or getattr(call, "path", None) or error)
