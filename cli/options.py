"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.completing import complete_run


def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path is not None else None


Repo = Annotated[Path, typer.Option("--repo", help="The target repository.")]
Config = Annotated[Path | None, typer.Option("--config", help="An assay.toml in the place of the repository's own.")]
Decisions = Annotated[
    Path | None, typer.Option("--decisions", help="YAML file with decisions, for where nobody can be asked.")
]
Headless = Annotated[bool, typer.Option("--headless", help="Ask nobody: park at a checkpoint, exit code 75.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines on stdout, the result last; progress on stderr.")]
State = Annotated[
    Path | None, typer.Option("--state", envvar="ASSAY_STATE", callback=_absolute, help="State directory.")
]
Policy = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="The organisation's settings, which bound all others."),
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="Built-in policy: supervised, guarded or headless.")
]
Said = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of this run, as TOML; may only tighten."),
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, as `assay runs` lists it.", autocompletion=complete_run)
]
