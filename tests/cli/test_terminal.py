"""A person at a real terminal is asked, answers with every key, and is shown nothing that was not said."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import PLAN, PROGRAM, SLEEP, UNIT, Project, call, containers
from tests.cli.terminals import Terminal

from assay.records.decisions import Decision
from assay.records.entries import EntryKind
from assay.store.clocks import SystemClock
from assay.store.ledger import SqliteLedger
from assay.store.state import state_root

pytestmark = pytest.mark.docker

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J [bold red]markup[/] :smile: <!-- hidden --> <b>html</b> "
    "[link](http://evil.example) \u202egnp"
)


def editor(folder: Path, script: str) -> dict[str, str]:
    """Return an environment whose editor is a shell script that gets the file as `$1`."""
    path = folder / "editor.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"VISUAL": str(path), "PATH": "/usr/bin:/bin"}


def decisions(run: str) -> list[dict[str, Any]]:
    """Return the decisions of a run, from its ledger."""

    async def read() -> list[dict[str, Any]]:
        async with SqliteLedger(state_root(os.environ) / "ledger.sqlite3", SystemClock()) as ledger:
            entries = await ledger.entries(run, kinds=(EntryKind.DECISION_MADE,))
        return [Decision.model_validate(entry.body["decision"]).model_dump(mode="json") for entry in entries]

    return asyncio.run(read())


def only_run() -> str:
    """Return the id of the only run that there is."""
    (line,) = call("runs", "--json").lines
    return str(line["id"])


def test_the_plan_is_read_explained_and_rejected(project: Project) -> None:
    """Everything that the plan says is shown in 80 columns; `?` explains; a reason is asked for and recorded."""
    with Terminal(*project.arguments()) as terminal:
        shown = terminal.wait_for("? help\n> ")
        for said in ("⏸ plan: Is this the plan?", "rounding: Round discounts up", "up: What is taken off", "prices.py"):
            assert said in shown
        assert max(map(len, shown.splitlines())) <= 80
        terminal.type("?\n")
        assert "leave it open: the run parks" in terminal.wait_for("asks again\n> ")
        terminal.type("all good\n")  # no key, and above all no `a`
        terminal.wait_for("asks again\n> ")
        terminal.type("r\n")
        terminal.wait_for("why? ")
        terminal.type("\n")
        terminal.wait_for("nothing was said; the question is still open\n> ")
        terminal.type("r\n")
        terminal.wait_for("why? ")
        terminal.type("Not this way.\n")
        assert terminal.end() == 4
    (decision,) = decisions(only_run())
    assert (decision["type"], decision["message"], decision["via"]) == ("reject", "Not this way.", "terminal")
    assert "rejected the plan: Not this way." in " ".join(terminal.text.split())


def test_end_of_input_leaves_the_question_open(project: Project) -> None:
    """^D parks the run; `assay resume` at a terminal asks the same question again."""
    with Terminal(*project.arguments()) as terminal:
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 75
        assert "left open" in terminal.text
        assert "assay resume r" in terminal.text
    run = only_run()
    assert decisions(run) == []
    with Terminal("resume", run) as terminal:
        terminal.wait_for("Is this the plan?")
        terminal.wait_for("> ")
        terminal.type("m\n")
        terminal.wait_for("message: ")
        terminal.type("\x04")
        terminal.wait_for("still open\n> ")
        terminal.type("\x04")
        assert terminal.end() == 75


def test_ctrl_c_at_the_prompt(project: Project) -> None:
    """It stops the run as anywhere else: parked, exit code 130, the question open."""
    with Terminal(*project.arguments()) as terminal:
        terminal.wait_for("> ")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.text
        assert "next: `assay resume r" in terminal.text
    assert call("show", only_run(), "--json").result["open"][0]["checkpoint"] == "plan"


def test_a_message_goes_to_the_planner(project: Project) -> None:
    """`m` with the words on the same line sends the plan back; the next plan is asked about anew."""
    (project.folder / "two.yaml").write_text("")
    model = project.script(PLAN)
    script = project.folder / "script.yaml"
    script.write_text(
        script.read_text()
        + "- role: planner\n  attempt: 2\n  turns:\n"
        + "  - expect: Smaller, please.\n    call:\n      submit_plan:\n        summary: Second try.\n        units:\n"
        + f"        - {UNIT}\n"
    )
    with Terminal(*project.arguments(model)) as terminal:
        terminal.wait_for("> ")
        terminal.type("m Smaller, please.\n")
        terminal.wait_for("Second try.")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 75
    assert [(d["type"], d["message"]) for d in decisions(only_run())] == [("respond", "Smaller, please.")]


def test_a_plan_is_edited(project: Project) -> None:
    """The editor gets the plan; nonsense is explained and can be mended; the difference is shown before it counts."""
    environment = editor(
        project.folder,
        'if grep -q nonsense "$1"; then sed -i "s/nonsense: *//; s/Round discounts up/Round them up/" "$1"; '
        'else sed -i "s/^plan:/nonsense: plan:/" "$1"; fi',
    )
    with Terminal(*project.arguments(), environment=environment) as terminal:
        terminal.wait_for("> ")
        terminal.type("e\n")
        terminal.wait_for("this cannot be used: ")
        terminal.wait_for("Edit it again? [y/N] ")
        terminal.type("y\n")
        shown = terminal.wait_for("Approve this? [y/N] ")
        assert "-    title: Round discounts up" in shown
        assert "+    title: Round them up" in shown
        terminal.type("n\n")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 75
    assert decisions(only_run()) == []
    with Terminal("resume", only_run(), environment=environment) as terminal:
        terminal.wait_for("> ")
        terminal.type("e\n")
        terminal.wait_for("again? [y/N] ")
        terminal.type("y\n")
        terminal.wait_for("this? [y/N] ")
        terminal.type("y\n")
        terminal.wait_for("edit by ")
        terminal.type("\x03")
        assert terminal.end() == 130
    (decision,) = decisions(only_run())
    assert decision["args"]["plan"]["units"][0]["title"] == "Round them up"


def test_an_editor_that_does_not_edit(project: Project) -> None:
    """One that fails, one that changes nothing, one that is not there: none counts as an answer; one can ask again."""
    environment = editor(project.folder, 'if [ -e "$0.used" ]; then rm "$0"; else touch "$0.used"; exit 3; fi')
    with Terminal(*project.arguments(), environment=environment) as terminal:
        for told in ("ended with 3\nnothing was changed", "nothing was changed", "cannot be started"):
            terminal.wait_for("> ")
            terminal.type("e\n")
            terminal.wait_for(told)
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 75


def test_what_others_wrote_does_nothing_to_the_terminal(project: Project) -> None:
    """Escapes, markup, HTML, comments, link targets and bidi marks are shown as what they are."""
    hostile_unit = {**UNIT, "title": HOSTILE, "specification": HOSTILE, "acceptance": [{"id": "up", "text": HOSTILE}]}
    plan = {"submit_plan": {"summary": HOSTILE, "units": [hostile_unit]}}
    project.ticket.write_text(f"# {HOSTILE}\n\n{HOSTILE}\n")
    with Terminal(*project.arguments(project.script(plan)), width=120) as terminal:
        shown = terminal.wait_for("? help\n> ")
        for said in ("[ESC]]0;owned[BEL]", "[bold red]markup[/]", ":smile:", "<!-- hidden -->", "<b>html</b>", "evil."):
            assert " ".join(shown.split()).count(said) >= 3, said
        assert "[U+202E]" in shown
        terminal.type(f"r {HOSTILE}\n".translate(dict.fromkeys((0x1B, 0x07, 0x202E))))
        assert terminal.end() == 4
    for escape in ("\x1b]0;", "\x1b[2J", "\u202e", "\x07"):
        assert escape not in terminal.raw
    for command in (["runs"], ["show", only_run()], ["show", only_run(), "--json"], ["runs", "--json"]):
        printed = call(*command).out
        assert "\x1b" not in printed
        assert "markup" in printed
        assert "[bold red]markup[/]" in " ".join(printed.split()) or "runs" in command
    assert call("cancel", only_run(), "--reason", HOSTILE).err.count("\x1b") == 0


def test_without_colour_and_narrow(project: Project) -> None:
    """NO_COLOR takes the colours away, from the log too, and 40 columns are enough."""
    environment = {"NO_COLOR": "1", "ASSAY_LOG": "info"}
    with Terminal(*project.arguments(), width=40, environment=environment) as terminal:
        terminal.wait_for("─" * 40)
        shown = terminal.wait_for("> ")
        assert max(map(len, shown.splitlines())) <= 40
        terminal.type("\x04")
        assert terminal.end() == 75
    assert "\x1b[3" not in terminal.raw  # no colour; `\x1b[K` takes the status line away
    assert "\x1b[1mrun.started" not in terminal.raw  # bold is no colour, but structlog's are both or none
    assert "] run.started" in terminal.text


def test_a_dumb_terminal(project: Project) -> None:
    """Where nothing can be moved or taken away, nothing tries to."""
    with Terminal(*project.arguments(), environment={"TERM": "dumb"}) as terminal:
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 75
    assert "\x1b" not in terminal.raw


def test_a_long_step_shows_that_it_goes_on(project: Project) -> None:
    """While a command runs there is a line that says what, and for how long; Ctrl-C takes it away and stops."""
    with Terminal(*project.arguments(project.script(SLEEP)), width=60) as terminal:
        terminal.wait_for("planner uses its tools (1 s)")
        terminal.wait_for("planner uses its tools (2 s)")
        terminal.type("\x03")
        assert terminal.end() == 130
    progress = [line for line in terminal.text.splitlines() if "s " in line]
    assert max(map(len, progress)) <= 60
    assert containers(only_run()) == []


def test_answers_are_asked_for_only_where_somebody_sees_the_question(project: Project) -> None:
    """`--headless`, or a standard error that goes to a file, parks instead of asking."""
    with Terminal(*project.arguments(), "--headless") as terminal:
        assert terminal.end() == 75
    argv = " ".join([PROGRAM, *map(str, project.arguments())])
    done = subprocess.run(["script", "-qec", f"{argv} 2>/dev/null", "/dev/null"], capture_output=True, timeout=60)
    assert done.returncode == 75
