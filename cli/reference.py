"""The page of the documentation about the command line, from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from typer.main import get_command

from assay.cli.main import app

HEAD: Final = """# The command line

Written by `scripts/write_cli_reference.py` from the program's own help; a test keeps it current.

## What goes where

Standard output has what was asked for, standard error what goes on meanwhile and what went wrong. With
`--json` standard output has JSON lines and nothing else, the result last: for `run`, `resume` and `check` each ledger
entry as it is recorded (`{"entry": …, "digest": …}`), then one object; for the others one object, or one a
line. An error is an object with `error`, `message`, `next` and `exit_code`.

On a terminal a line of progress is cut at its edge; elsewhere it is printed whole. While nothing is recorded, a
line at the bottom of the terminal says what goes on; elsewhere one is printed every 30 seconds.
`NO_COLOR`, `FORCE_COLOR`, `COLUMNS` and `TERM=dumb` mean what they mean everywhere. Text that others wrote (tickets,
plans, diffs, test output) is shown with its control characters by name.

A reader that stands still (a stopped pager) holds up nothing: the run goes on, and what it printed waits. When the
reader has gone, the run stops cleanly, with exit code 141.

The last object of `assay check`:

| field | holds |
|---|---|
| `run` | id of the check, for `assay witness` and `assay verify` |
| `verdict` | `proven`, `refuted`, `inconclusive` or `declined` |
| `level` | `A`, `B` or `C` where it is proven; null elsewhere |
| `reasons` | a sentence each, the deciding one first |
| `question` | what a person would have to answer, where it is inconclusive |
| `steps` | of each step of the proof `id`, `title`, `outcome`, `seconds`, `reasons` |
| `witness` | what shows a refutation, with the command that shows it again; or null |
| `unproven_lines` | changed lines that no check needs as they are: of each `path`, `line`, `why` (below), `reason` |
| `flags` | of each `kind`, `path`, `line`, `text` |
| `statement` | the author's words: of each sentence `text`, `mark` (`confirmed`, `contradicted`, `unverified`), `why` |
| `seconds` | how long the proof took |
| `evidence` | path of the report |

Why a line is unproven: `unexecuted` (no check executes it), `removable` (every check passes without it), `restorable`
(every check passes with what was taken out there), `changeable` (every check passes with something else in its place).

## Exit codes

| code | means |
|---|---|
| 0 | proven and, for a run, delivered; for the other commands: done |
| 1 | refuted |
| 2 | what was given cannot be used: arguments, ticket, repository, settings, decisions, run |
| 3 | inconclusive, declined, or something that assay needs is missing or failed |
| 4 | rejected or cancelled by a person |
| 75 | parked: waits for a person |
| 124 | a limit was reached |
| 128 + n | stopped by signal n: 130 after Ctrl-C, 143 after SIGTERM |

## Stopping

The first Ctrl-C (or SIGTERM, or the end of the terminal) stops cleanly: sandboxes are closed, and
`assay resume RUN` goes on where it was. The second ends the process at once; its sandboxes end by
themselves, or are removed by the next assay that starts. `assay cancel RUN` ends a run for good, also one that
another process advances.

## Environment

| variable | means |
|---|---|
| `ASSAY_STATE` | the state directory, see [store.md](store.md) |
| `ASSAY_LOG` | `debug`, `info`, `warning` (where it is not set) or `error`: what is logged on standard error, in \
words on a terminal and as JSON lines elsewhere, with the run's id on each line |
| `DOCKER_HOST`, `DOCKER_CONTEXT` | the engine, as for `docker` itself |
| `VISUAL`, `EDITOR`, `PAGER` | the programs that `e` and `d` start at a checkpoint |

## At a checkpoint

`assay run` and `assay resume` ask where standard input and standard error are a terminal, and neither
`--headless` nor `--decisions` was given. The whole question is shown, with everything that the agents will read.

| key | does |
|---|---|
| `a`, `approve` | goes on; words after it become a remark: `a I read the diff` |
| `e`, `edit` | opens the plan, or the tool call, in your editor; shows the difference; asks before it counts |
| `r`, `reject` | says no, with a reason |
| `m`, `message` | sends it back to the agent with a message |
| `d`, `diff` | shows the change that the question is about |
| `?` | explains what can be answered here |
| Ctrl-D | leaves it open: the run parks with exit code 75, and `assay resume` asks again |

## What `assay prune` deletes

Runs that ended, and checks that were made, longer ago than `--older-than` days; with `--run` this one. With a run go
its transcripts, its report, its checkpoints, its git refs and its ledger entries, then every blob to which no other run
leads (but none that was kept within the last day, or since a run began that is not over), and the databases
give their free pages back. Git's objects go two weeks after the last ref to them, with the first prune
after that. A run that is not over is never deleted: `assay cancel` ends it first. The reports of pruned runs and the
evidence in them are gone; delivered branches are in your repository, and stay.
"""


def command_reference() -> str:
    """Return the page."""
    command = get_command(app)
    parts = [HEAD, "## Commands\n"]
    for name, one in _commands(command, "assay"):
        parts.append(_describe(name, one))
    return "\n".join(parts)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for child, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from _commands(one, f"{name} {child}")
        else:
            yield f"{name} {child}", one


def _describe(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([name, *map(_metavar, arguments), *["[OPTIONS]"] * bool(options)])
    lines = [f"### `{name}`\n", f"{command.help}\n", f"```text\n{usage}\n```\n"]
    if arguments or options:
        lines += ["| | default | |", "|---|---|---|"]
        lines += [_row(f"`{_metavar(p)}`", p) for p in arguments]
        lines += [_row(", ".join(f"`{word}`" for word in sorted(p.opts, key=len)), p) for p in options]
        lines += [""]
    return "\n".join(lines)


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _row(names: str, parameter: Any) -> str:
    default = parameter.default
    if parameter.required or default is None or default is False or callable(default):
        shown = "needed" if parameter.required else ""
    else:
        shown = f"`{default}`"
    variable = f" (`{parameter.envvar}`)" if parameter.envvar else ""
    return f"| {names} | {shown} | {parameter.help or ''}{variable} |"
