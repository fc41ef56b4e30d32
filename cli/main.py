"""The command line: thin, and slow imports only inside the command that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.endings import ending
from assay.cli.options import Config, Decisions, Headless, Json, Policy, Preset, Repo, Run, Said, State
from assay.cli.policy_commands import policy

app = typer.Typer(
    name="assay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
sandbox = typer.Typer(help="Sandboxes, and the images that they are made from.", no_args_is_help=True)
app.add_typer(sandbox, name="sandbox")
app.add_typer(policy, name="policy")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        print(f"assay {metadata.version('assay')}")
        raise typer.Exit


@app.callback()
def begin(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Agents claim. assay proves. People sign."""


@app.command()
def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Markdown with YAML front matter, or plain text.")],
    repo: Annotated[
        Path | None, typer.Option("--repo", help="The target repository; the ticket's where left out.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="provider:name, or scripted:FILE.yaml; for each role to which assay.toml gives none."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Revision to start from; the ticket's, or HEAD, where left out.")
    ] = None,
    config: Config = None,
    policy_file: Policy = None,
    preset: Preset = None,
    said: Said = None,
    decisions: Decisions = None,
    headless: Headless = False,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Take a ticket through the four roles to a proven branch."""
    with ending(as_json):
        from assay.app.configuration import Around
        from assay.cli import running

        running.run_ticket(
            ticket, repo, model=model, base=base, config=config, decisions=decisions,
            around=Around(organisation=policy_file, preset=preset, said=tuple(said or ())),
            headless=headless, as_json=as_json, state=state,
        )  # fmt: skip


@app.command()
def resume(
    run: Run, decisions: Decisions = None, headless: Headless = False, as_json: Json = False, state: State = None
) -> None:
    """Go on with a run that is parked, was stopped, or failed."""
    with ending(as_json):
        from assay.cli import running

        running.resume_run(run, decisions=decisions, headless=headless, as_json=as_json, state=state)


@app.command()
def check(
    revisions: Annotated[str, typer.Argument(metavar="BASE..HEAD", help="The change.")],
    repo: Repo = Path(),
    ticket: Annotated[
        Path | None, typer.Option("--ticket", help="What was asked; its acceptance becomes requirements.")
    ] = None,
    claim: Annotated[
        Path | None,
        typer.Option("--claim", help="The author's claim: JSON, or else the text of a pull request, which is shown."),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option("--tests", help="Trusted tests, a folder or a unified diff: laid over base and head."),
    ] = None,
    held_out: Annotated[Path | None, typer.Option("--held-out", help="The same, never shown in feedback.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="fix, feature, refactor, docs, tests, …")] = None,
    test_command: Annotated[
        str | None,
        typer.Option("--test-command", help="Arguments added to the runner's own, or a command that writes JUnit XML."),
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Sandbox image, instead of the settings'.")] = None,
    level: Annotated[
        str | None, typer.Option("--level", metavar="A|B|C", help="Least level at which the claim counts as proven.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Time for all of it; what is left out is named.")
    ] = None,
    config: Config = None,
    policy_file: Policy = None,
    preset: Preset = None,
    said: Said = None,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Prove a change that exists already. No model is needed."""
    with ending(as_json):
        from assay.app.asked import Asked
        from assay.app.configuration import Around
        from assay.cli import checking

        asked = Asked(test_command=test_command, image=image, level=level, seconds=seconds)
        checking.check_change(
            revisions, repo, ticket=ticket, claim=claim, tests=tests, held_out=held_out,
            kind=kind, asked=asked, config=config, as_json=as_json, state=state,
            around=Around(organisation=policy_file, preset=preset, said=tuple(said or ())),
        )  # fmt: skip


@app.command()
def gates(
    revisions: Annotated[str, typer.Argument(metavar="BASE..HEAD", help="The change.")],
    repo: Repo = Path(),
    sarif: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write what they found as SARIF 2.1.0.")
    ] = None,
    config: Config = None,
    policy_file: Policy = None,
    preset: Preset = None,
    said: Said = None,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Hold the policy's gates against a change that exists already. Exit code 1: one blocks; 3: one asks."""
    with ending(as_json):
        from assay.app.configuration import Around
        from assay.cli import gating

        gating.judge_gates(
            revisions, repo, sarif=sarif, config=config, as_json=as_json, state=state,
            around=Around(organisation=policy_file, preset=preset, said=tuple(said or ())),
        )  # fmt: skip


@app.command()
def init(
    repo: Repo = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over an assay.toml that is there.")] = False,
    stdout: Annotated[bool, typer.Option("--print", help="Print it, write nothing.")] = False,
) -> None:
    """Look at a repository and write its assay.toml."""
    with ending(False):
        from assay.cli import starting

        starting.write_settings(repo, force=force, stdout=stdout)


@app.command()
def verify(
    run: Run,
    export: Annotated[
        Path | None, typer.Option("--export", help="Folder for the signed statements and the public key.")
    ] = None,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Recompute a run's ledger, and open the signature of each of its verdicts."""
    with ending(as_json):
        from assay.cli import verifying

        verifying.verify(run, export, as_json=as_json, state=state)


@app.command()
def witness(
    run: Run,
    claim: Annotated[
        str | None, typer.Option("--claim", help="Of which claim; of the one that was refuted last where left out.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="DIR", help="Folder for tree, image and script, to see it again elsewhere."),
    ] = None,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Show what refutes a claim of a run or a check, and the one command that shows it again without assay."""
    with ending(as_json):
        from assay.cli import witnessing

        witnessing.show_witness(run, claim, export, as_json=as_json, state=state)


@app.command()
def show(run: Run, as_json: Json = False, state: State = None) -> None:
    """Show a run: claims, verdicts, decisions, its report."""
    with ending(as_json):
        from assay.cli import showing

        showing.show_run(run, as_json=as_json, state=state)


@app.command()
def runs(as_json: Json = False, state: State = None) -> None:
    """List the runs, newest first."""
    with ending(as_json):
        from assay.cli import showing

        showing.list_runs(as_json=as_json, state=state)


@app.command()
def cancel(
    run: Run,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "no reason was given",
    as_json: Json = False,
    state: State = None,
) -> None:
    """End a run, whoever advances it."""
    with ending(as_json):
        from assay.cli import showing

        showing.cancel_run(run, reason, as_json=as_json, state=state)


@app.command()
def prune(
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, help="Days since a run ended, or a check was made.")
    ] = 30,
    run: Annotated[str | None, typer.Option("--run", help="This run only, whatever its age.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Delete runs that are over, and what is left of dead processes."""
    with ending(as_json):
        from assay.cli import pruning

        pruning.prune(older_than, run, dry=dry, as_json=as_json, state=state)


@app.command()
def doctor(repo: Repo = Path(), as_json: Json = False, state: State = None) -> None:
    """Say what is missing on this machine, or for a repository's sandboxes, and what mends it."""
    with ending(as_json):
        from assay.cli import starting

        starting.examine_machine(repo, as_json=as_json, state=state)


@sandbox.command("build")
def sandbox_build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`base`, `node` or `python`.")] = "python",
    base: Annotated[str | None, typer.Option(help="Image to build upon, instead of Debian's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build it even where it is there.")] = False,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Build a sandbox image, from a registry where one answers and from Debian's packages otherwise."""
    with ending(as_json):
        from assay.cli import sandboxes

        sandboxes.build_image(name, base=base, force=force, as_json=as_json, state=state)


@sandbox.command("list")
def sandbox_list(
    images: Annotated[bool, typer.Option("--images", help="The images, and which are needed.")] = False,
    as_json: Json = False,
    state: State = None,
) -> None:
    """List the sandboxes on the engine: whose they are, whether their owner lives, and what they use."""
    with ending(as_json):
        from assay.cli import sandboxes

        sandboxes.list_held(images=images, as_json=as_json, state=state)


@sandbox.command("prune")
def sandbox_prune(
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, help="Days since a project's dependencies were used last.")
    ] = 30,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Remove sandboxes of dead processes, and images that nothing needs any more."""
    with ending(as_json):
        from assay.cli import sandboxes

        sandboxes.prune_held(older_than=older_than, dry=dry, as_json=as_json, state=state)


@sandbox.command("shell")
def sandbox_shell(
    repo: Annotated[Path | None, typer.Option("--repo", help="Whose HEAD to put in; the current folder's.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="A profile of its assay.toml.")] = "default",
    image: Annotated[str | None, typer.Option("--image", help="In the place of the profile's.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE.tar", help="Write the files to a tar file at the end.")
    ] = None,
    config: Config = None,
    state: State = None,
) -> None:
    """Open a shell in a fresh sandbox. Without a terminal it executes what standard input says."""
    with ending(False):
        from assay.app.shells import Wish
        from assay.cli import sandboxes

        wish = Wish(repo=repo, profile=profile, image=image, config=config)
        sandboxes.open_sandbox(wish, export=export, state=state)
