"""`assay policy …`: slow imports only inside the command that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.endings import ending
from assay.cli.options import Config, Policy, Preset, Repo, Said, State

policy = typer.Typer(help="What the policy allows.", no_args_is_help=True)


@policy.command("check")
def policy_check(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Shell command, or the argument of another tool.")],
    role: Annotated[str, typer.Option("--role", help="Whose rules.")] = "coder",
    tool: Annotated[str, typer.Option("--tool", help="Name of the tool that would be called.")] = "execute",
    repo: Repo = Path(),
    config: Config = None,
    policy_file: Policy = None,
    preset: Preset = None,
    said: Said = None,
    state: State = None,
) -> None:
    """Say what the policy decides about a tool call, by which rule, and where that stands."""
    with ending(False):
        from assay.app.configuration import Around
        from assay.cli import policies

        around = Around(organisation=policy_file, preset=preset, said=tuple(said or ()))
        policies.explain_rule(command, role=role, tool=tool, repo=repo, config=config, around=around, state=state)


@policy.command("show")
def policy_show(
    effective: Annotated[
        bool, typer.Option("--effective", help="Every setting in force, with the layer that it comes from.")
    ] = False,
    repo: Repo = Path(),
    config: Config = None,
    policy_file: Policy = None,
    preset: Preset = None,
    said: Said = None,
    state: State = None,
) -> None:
    """Print the layers of the policy; with `--preset` alone that preset; with `--effective` what they come to."""
    with ending(False):
        from assay.app.configuration import Around
        from assay.cli import policies

        around = Around(organisation=policy_file, preset=preset, said=tuple(said or ()))
        policies.show_policy(effective=effective, repo=repo, config=config, around=around, state=state)
