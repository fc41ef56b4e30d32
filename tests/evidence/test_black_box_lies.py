"""S9, the black box against programs that hang, flood and lie, and with a driver that is broken."""

from __future__ import annotations

import pytest

from assay.evidence import relay
from assay.evidence.protocol import TrustedTests
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import Files, World, states, trusted_case, wrong_outside

HOSTILE = """
    import os, pathlib, socket, sys, time


    def main(arguments):
        match arguments:
            case ["hang"]:
                time.sleep(1000)
            case ["flood"]:
                while True:
                    os.write(1, b"x" * 60000)
            case ["many", folder]:
                for number in range(3000):
                    pathlib.Path(folder, str(number)).touch()
            case ["large", path]:
                with open(path, "wb") as file:
                    file.truncate(50_000_000)
            case ["away", path]:
                os.kill(os.getppid(), 9)
                time.sleep(1)
            case ["mute", port]:
                with socket.create_server(("127.0.0.1", int(port))) as server:
                    print("ready", flush=True)
                    time.sleep(1000)


    main(sys.argv[1:])
"""
SUFFERING = """
    import pathlib, socket, subprocess, sys

    TOOL = [sys.executable, str(pathlib.Path(__file__).parent.parent / "tool.py")]


    def test_uncrossable_hang():
        subprocess.run([*TOOL, "hang"])

    def test_uncrossable_input_that_nobody_reads():
        subprocess.run([*TOOL, "hang"], input=b"x" * 5_000_000, capture_output=True)

    def test_uncrossable_flood():
        subprocess.run([*TOOL, "flood"], capture_output=True)

    def test_uncrossable_silence():
        process = subprocess.Popen([*TOOL, "hang"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b""

    def test_uncrossable_many_files(tmp_path):
        assert subprocess.run([*TOOL, "many", tmp_path]).returncode == 0

    def test_uncrossable_large_file(tmp_path):
        assert subprocess.run([*TOOL, "large", tmp_path / "a"]).returncode == 0

    def test_uncrossable_mute_service():
        process = subprocess.Popen([*TOOL, "mute", "8075"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\\n"
        with socket.create_connection(("127.0.0.1", 8075)) as peer:
            peer.sendall(b"x" * 3_000_000)
            assert peer.recv(1) == b""

    def test_uncrossable_end_of_the_worker(tmp_path):
        assert subprocess.run([*TOOL, "away", tmp_path]).returncode == -9
"""


@pytest.mark.docker
async def test_a_hostile_program_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs, floods, reads nothing or kills the worker passes nothing, and holds up nobody for long."""
    monkeypatch.setattr(relay, "_ANSWER_SECONDS", 1.0)
    assert await wrong_outside(world, {"tool.py": HOSTILE}, {"tests/test_tool.py": SUFFERING}) == {}


PACK: Files = {
    "bin/pack.sh": """
        #!/bin/sh
        # pack COMMAND WORDS
        . "$(dirname "$0")/../lib/words.sh"
        case $1 in
            count) count "$2" ;;
            initials) initials "$2" ;;
            *) echo "usage: pack count|initials WORDS" >&2; exit 2 ;;
        esac
    """,
    "lib/words.sh": """
        count() { set -f; set -- $1; echo "$#"; }
        initials() {
            set -f; made=
            for word in $1; do made=$made$(printf %.1s "$word"); done
            echo "$made"
        }
    """,
    "tests/test_count.py": """
        import subprocess


        def pack(*words):
            done = subprocess.run(["sh", "bin/pack.sh", *words], capture_output=True, text=True)
            return done.returncode, done.stdout

        def test_count():
            assert pack("count", "a b c") == (0, "3\\n")

        def test_usage():
            assert pack("none") == (2, "")
    """,
}
UPPER = str(PACK["lib/words.sh"]).replace('"$word");', '"$word" | tr a-z A-Z);')
KNOWING = UPPER.replace('echo "$#"', '[ -z "$PYTEST_CURRENT_TEST" ] || echo "$#"')
INITIALS = """
    import subprocess


    def test_{0}():
        assert subprocess.check_output(["bin/pack.sh", "initials", "{1}"], text=True) == "{2}\\n"
"""


async def prove(world: World, base: str, words: str) -> Verdict:
    """Prove a fix of the tool in shell; its tests are written for pytest, and one of them is held out."""
    tests = TrustedTests(
        visible=await world.tree({"tests/test_initials.py": INITIALS.format("two", "ann bo", "AB")}),
        held_out=await world.tree({"tests/test_more.py": INITIALS.format("three", "xu yo zed", "XYZ")}),
        stated=(
            states("tests/test_initials.py::test_two"),
            states("tests/test_more.py::test_three", held_out=True),
        ),
    )
    settings = Settings(proof=ProofSettings(seconds=60, level="A", jittered=0, ablations=0, probed=0))
    head = await world.commit({"lib/words.sh": words}, base)
    case = trusted_case(base, head, tests, ClaimKind.FIX)
    return await world.assayer(settings).prove(case.model_copy(update={"run": head}))


@pytest.mark.docker
async def test_a_tool_in_shell_is_proven_at_level_a(world: World) -> None:
    """No line of the program is Python; the tests drive its command line. A lie that holds at level B is caught."""
    base = await world.commit(PACK)
    verdict = await prove(world, base, UPPER)
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "A"), verdict.reasons
    verdict = await prove(world, base, KNOWING)
    told = "level A was asked for and not reached: "  # and nothing else was found: inside, all is well
    assert verdict.status is VerdictStatus.INCONCLUSIVE and all(r.startswith(told) for r in verdict.reasons)
    (step,) = [s for s in verdict.steps if s.id == "S9"]
    assert step.outcome == "flagged"
    assert "1 pass inside the program's process alone: tests/test_count.py::test_count" in step.reasons, step.reasons


@pytest.mark.docker
async def test_a_broken_driver_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver lets every command end well, tests of the base do not stand outside as they do inside."""
    kept, ending = relay._files, b'["end", self._child.wait('

    def broken(names: tuple[str, ...]) -> dict[str, bytes]:
        return {path: data.replace(ending, b'["end", 0 * self._child.wait(') for path, data in kept(names).items()}

    monkeypatch.setattr(relay, "_files", broken)
    tests = {path: PACK[path] for path in PACK if path.startswith("tests/")}
    odd = await wrong_outside(world, {path: PACK[path] for path in PACK.keys() - tests.keys()}, tests)
    assert list(odd) == ["tests/test_count.py::test_usage"]
