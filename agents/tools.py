"""The tools of a role: names, arguments and descriptions as people know them from LangChain's deep agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from assay.agents.protocol import RoleTask
from assay.agents.submissions import submit_schema, submit_tool
from assay.errors import ConfigurationError
from assay.records.base import Record

READ_LINES: Final = 100
"""Lines that `read_file` gives when it is not told how many."""


class Ls(Record):
    """List a folder: one entry a line, folders with a slash at their end."""

    path: str
    """Absolute path of the folder."""


class ReadFile(Record):
    """Read a text file. Lines come with their numbers, which are not part of the file.

    Use offset and limit to page through a long file.
    """

    file_path: str
    """Absolute path of the file."""
    offset: int = 0
    """Line to begin at, counted from 0."""
    limit: int = READ_LINES
    """How many lines at most."""


class WriteFile(Record):
    """Write a file whole: it is made where it is missing, and replaced where it is there."""

    file_path: str
    """Absolute path of the file."""
    content: str
    """All of its text."""


class EditFile(Record):
    """Replace an exact text in a file. Read the file first; leave the line numbers out."""

    file_path: str
    """Absolute path of the file."""
    old_string: str
    """The exact text, with its white space. It must be unique unless replace_all is true."""
    new_string: str
    """What stands there instead; different from old_string."""
    replace_all: bool = False
    """Replace every occurrence."""


class Glob(Record):
    """Find files by name; returns absolute paths.

    A pattern without `/` matches the name at any depth (`*.py`); one with `/` matches the path below the search
    root (`src/**/*.py`). Names that begin with a dot match only a pattern that begins with one.
    """

    pattern: str
    """`*`, `**`, `?`, `[abc]` and `{a,b}` are understood."""
    path: str | None = None
    """Folder to search in; the workspace where none is given."""


class Grep(Record):
    """Search files for a text, taken literally and not as a regular expression."""

    pattern: str
    """The text."""
    path: str | None = None
    """Folder or file to search in; the workspace where none is given."""
    glob: str | None = None
    """Search only files that match this pattern, for instance `*.py`."""
    output_mode: Literal["files_with_matches", "content", "count"] = "files_with_matches"
    """Paths only, or the matching lines with their numbers, or how many there are in each file."""
    max_count: int | None = Field(default=None, gt=0)
    """How many matches at most, over all files."""


class Execute(Record):
    """Run a shell command in the workspace; returns what it printed and how it ended.

    Each command starts anew in the workspace: `cd` and variables do not last. There is no network.
    """

    command: str
    """For `/bin/sh -c`."""
    timeout: int | None = Field(default=None, ge=0)
    """Seconds; the sandbox's own limit where none is given."""


TOOLS: Final[Mapping[str, type[Record]]] = {
    "ls": Ls,
    "read_file": ReadFile,
    "write_file": WriteFile,
    "edit_file": EditFile,
    "glob": Glob,
    "grep": Grep,
    "execute": Execute,
}
CHANGING: Final = frozenset({"write_file", "edit_file", "execute"})
"""Tools after which the workspace may hold something else."""


def tool_names(task: RoleTask, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the tools that a role has for a task.

    Raises:
        ConfigurationError: `allowed` names a tool that does not exist.
    """
    if unknown := sorted(set(allowed) - TOOLS.keys()):
        raise ConfigurationError(
            f"[agents.{task.role}] tools: {', '.join(unknown)} do not exist.",
            next_step=f"choose from {', '.join(TOOLS)}",
        )
    return (*dict.fromkeys(allowed), submit_tool(task))


def tool_schemas(task: RoleTask, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the tools in the function form that every provider takes."""
    return [submit_schema(task) if name == submit_tool(task) else _schema(name, TOOLS[name]) for name in names]


def _schema(name: str, args: type[Record]) -> dict[str, Any]:
    parameters = args.model_json_schema()
    parameters.pop("title", None)
    description = " ".join(parameters.pop("description", "").split())
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
