"""Gates: each finds what a change brings, and not what was there; and passes nothing that it cannot see."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_bench import GateBench, gate

from assay.evidence.gates.data import PERSONAL
from assay.evidence.gates.dependencies import POPULAR, imitated
from assay.evidence.gates.imports import broken_contracts
from assay.evidence.gates.licences import is_allowed
from assay.evidence.gates.sarif import NotSarif, read_sarif
from assay.policies.gates import GateResult
from assay.policies.loading import parse_settings
from assay.policies.settings import GateSettings
from assay.records.entries import EntryKind
from assay.records.sandboxes import CommandResult, Exited, Output, Signalled
from assay.records.trees import REGULAR
from assay.reports.sarif import write_sarif
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome


async def test_dependencies(gates: GateBench) -> None:
    """New, open, moved and imitated ones are found; an older version, one that goes and old ones are not."""
    base = {"requirements.txt": "requests==2.31.0\nold==1.0\n"}
    head = {"requirements.txt": "requests==2.32.0\nreqeusts>=1\n--extra-index-url https://elsewhere.test/simple\n"}
    found = await gates.judge(gate("dependencies"), base, head)
    said = "\n".join(found.reasons)
    for rule in ("dependency added", "dependency unpinned", "dependency source", "dependency name"):
        assert rule in said, said
    assert "reqeusts is one slip away from requests" in said
    assert "old" not in said
    fewer = await gates.judge(gate("dependencies"), base, {"requirements.txt": "requests==2.32.0\n"})
    assert fewer.outcome == "pass"
    assert (await gates.judge(gate("dependencies"), {}, {"a.py": ""})).outcome == "pass"
    broken = await gates.judge(gate("dependencies"), base, {"requirements.txt": "== ==\n"})
    assert "dependency unread" in broken.reasons[0]


@pytest.mark.parametrize(
    ("name", "popular"),
    [("reqeusts", "requests"), ("request5", "request"), ("numpi", "numpy"), ("python-dateutill", "python-dateutil"),
     ("python_requests", "requests"), ("pythonrequests", "requests"), ("lodahs", "lodash"), ("requests", None),
     ("attrs2", "attrs"),
     ("mylibrary", None), ("@types/node", None), ("flask-login", None), ("six", None), ("sax", None)],
)  # fmt: skip
def test_imitated_names(name: str, popular: str | None) -> None:
    """One slip away from a popular name is near; popular names themselves are not held against each other."""
    assert imitated(name) == popular
    assert len(POPULAR) > 200


async def test_licences(gates: GateBench) -> None:
    """The project's own, files under another one, and npm's packages; what is allowed and what was there pass."""
    lock = {"packages": {"": {}, "node_modules/a": {"license": "MIT"}, "node_modules/b": {"license": "GPL-3.0-only"},
                         "node_modules/c": {}}}  # fmt: skip
    head = {
        "LICENSE": "Do what you want\n",
        "pyproject.toml": '[project]\nlicense = "GPL-3.0-only"\n',
        "x.c": "// SPDX-License-Identifier: AGPL-3.0-or-later\n",
        "y.c": "// SPDX-License-Identifier: MIT OR GPL-2.0-only\n",
        "y.html": "<!-- SPDX-License-Identifier: MIT -->\n",
        "y.css": "/* SPDX-License-Identifier: MIT */\n",
        "y.sql": "-- SPDX-License-Identifier: MIT --\n",
        "x.html": "<!-- SPDX-License-Identifier: GPL-2.0-only-->\n",
        "package-lock.json": json.dumps(lock),
    }
    found = await gates.judge(gate("licences"), {"LICENSE": "MIT\n"}, head)
    said = sorted((f.path, f.message) for f in found.findings)
    assert said == [
        ("LICENSE", "a text of a licence is changed"),
        ("package-lock.json", "b is under GPL-3.0-only"),
        ("package-lock.json", "c names no licence"),
        ("pyproject.toml", "says GPL-3.0-only"),
        ("x.c", "is under AGPL-3.0-or-later"),
        ("x.html", "is under GPL-2.0-only"),
    ]
    again = await gates.judge(gate("licences"), head, {**head, "x.c": head["x.c"] + "int x;\n"})
    assert again.outcome == "pass"
    wide = gate("licences", allowed=["MIT", "GPL-3.0-only", "AGPL-3.0-or-later"])
    assert len((await gates.judge(wide, {"LICENSE": "MIT\n"}, head)).findings) == 4


@pytest.mark.parametrize(
    ("expression", "fine"),
    [("MIT", True), ("mit", True), ("GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True),
     ("MIT AND GPL-3.0-only", False),
     ("(GPL-2.0-only OR MIT) AND Apache-2.0", True), ("Apache-2.0 WITH LLVM-exception", True), ("", False),
     ("(MIT", False),
     ("MIT MIT", False), ("SEE LICENSE IN FILE", False)],
)  # fmt: skip
def test_expressions_of_licences(expression: str, fine: bool) -> None:
    """OR needs one side, AND both; what is no expression is not allowed."""
    assert is_allowed(expression, ("MIT", "Apache-2.0")) is fine


async def test_data_that_must_not_leave(gates: GateBench) -> None:
    """By path in any change, by pattern where it is new; people's data in fixtures, and not in code."""
    one = gate("data", paths=["customers/"], patterns=["PROJECT-[A-Z]+"])
    head = {
        "customers/a.sql": "x\n",
        "src/a.py": "MAIL = 'jane@gmail.com'  # PROJECT-X\n",
        "tests/data.csv": "jane@gmail.com,jane@example.com,+49 30 901820 123,DE89 3704 0044 0532 0130 00\n",
    }
    found = await gates.judge(one, {"customers/a.sql": "y\n"}, head)
    assert sorted((f.path, f.rule) for f in found.findings) == [
        ("customers/a.sql", "paths customers/"),
        ("src/a.py", "patterns PROJECT-[A-Z]+"),
        ("tests/data.csv", "bank account (IBAN)"),
        ("tests/data.csv", "email address"),
        ("tests/data.csv", "telephone number"),
    ]
    assert "jane@gmail" not in found.model_dump_json()
    again = await gates.judge(one, {"customers/a.sql": "y\n"}, head)
    assert {f.mark for f in again.findings} & {f.mark for f in found.findings} == {"customers/a.sql"}
    before = {"tests/data.csv": head["tests/data.csv"], "src/a.py": head["src/a.py"]}
    assert (await gates.judge(one, before, {k: f"new\n{v}" for k, v in before.items()})).outcome == "pass"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a@gmail.com", ["email address"]),
        ("a@example.org b@x.test c@localhost d@users.noreply.github.com e@mail.example.com", []),
        ("4539 5787 6362 1486", ["payment card"]),
        ("4242 4242 4242 4242 and 4539 5787 6362 1487 and 1234567890123456", []),
        ("GB82 WEST 1234 5698 7654 32", ["bank account (IBAN)"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("078-05-1120", ["social security number"]),
        ("000-05-1120 2026-11-22", []),
        ("+1 202 555 0123", []),
        ("+1 202 456 1111", ["telephone number"]),
        ("sha 4539578763621486a 1.4539578763621486", []),
    ],
)
def test_data_of_people(text: str, kinds: list[str]) -> None:
    """Check digits decide, and what is set aside for examples is nobody's."""
    assert [kind for kind, find in PERSONAL.items() if list(find(text))] == kinds


async def test_data_in_long_lines_and_in_any_encoding(gates: GateBench) -> None:
    """What stands far out in a line, across the edge of a part, or between zero bytes is found, and found once."""
    one, mail = gate("data", patterns=["PROJECT-[A-Z]+"]), "jane@gmail.com"
    for before in (0, 19_990, 21_995, 39_995, 100_000):
        line = f"{'x' * before} {mail} PROJECT-X\n"
        found = await gates.judge(one, {}, {"tests/a.json": line})
        assert sorted(f.rule for f in found.findings) == ["email address", "patterns PROJECT-[A-Z]+"], before
    text = f"mail {mail}\n"
    for data in (
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        b"\0" + text.encode(),
        b"\xff" + text.encode(),
        b"\xff\xfe" + text.encode() * 2 + b"\0",
    ):
        found = await gates.judge(one, {}, {"tests/a.txt": data})
        assert {f.rule for f in found.findings} == {"email address"}, data
    picture = await gates.judge(one, {}, {"tests/a.png": b"\0" + text.encode()})
    assert picture.reasons == ("nothing new in 0 changed files (1 more are no text)",)


async def test_imports_by_the_contracts_of_the_base(gates: GateBench) -> None:
    """A contract that the change breaks is found, import by import; contracts that it takes away still hold."""
    contracts = "[importlinter]\nroot_package = p\n"

    def lint(asked: FakeCommand) -> FakeOutcome:
        assert asked.tree[".importlinter"].data.decode() == contracts
        assert asked.command[-2:] == ("--config", ".importlinter")  # or it looks into setup.cfg first
        bad = b"import p.web" in asked.tree["p/core.py"].data
        lines = ["No web in core BROKEN" if bad else "No web in core KEPT", "Contracts: 0 kept, 1 broken."]
        lines += ["-   p.core -> p.web (l.1)"] if bad else []
        return FakeOutcome(ending=Exited(code=int(bad)), stdout="\n".join(lines).encode())

    base = {".importlinter": contracts, "p/core.py": ""}
    head = {".importlinter": "[importlinter]\nroot_package = q\n", "p/core.py": "import p.web\n"}
    found = await gates.judge(gate("imports"), base, head, lint)
    assert [f.message for f in found.findings] == ["“No web in core” is broken", "p.core -> p.web"]
    old = {**base, "p/core.py": "import p.web\n"}
    assert (await gates.judge(gate("imports"), old, {**old, "x": "1"}, lint)).outcome == "pass"
    none = await gates.judge(gate("imports"), {"a": "1"}, {"a": "2"}, lint)
    assert none.reasons == ("the base has no contracts for import-linter, so none is broken",)
    missing = await gates.judge(
        gate("imports"), base, {**base, "x": "2"}, lambda asked: FakeOutcome(ending=Exited(code=127))
    )
    assert missing.outcome == "ask"


async def test_the_change_does_not_bring_its_own_import_linter(gates: GateBench) -> None:
    """What Python would load in the place of the judge is asked about where the change touches it, and else is not."""
    kept = FakeOutcome(ending=Exited(code=0), stdout=b"All fine KEPT\nContracts: 1 kept, 0 broken.")
    base = {".importlinter": "[importlinter]\nroot_package = p\n", "src/rich/__init__.py": "", "src/p/a.py": ""}
    for path in ("src/click.py", "importlinter/__init__.py", "src/sitecustomize.py", "json.py", "src/rich/x.py"):
        told = await gates.judge(gate("imports"), base, {**base, path: "print('Contracts')"}, lambda asked: kept)
        assert (told.outcome, told.reasons[0].endswith(path)) == ("ask", True), (path, told)
    for path in ("src/p/click.py", "site/x.py", "tests/json.py", "src/p/b.py"):
        told = await gates.judge(gate("imports"), base, {**base, path: "x = 1"}, lambda asked: kept)
        assert told.outcome == "pass", (path, told)


def test_what_import_linter_prints(tmp_path: Path) -> None:
    """The real program's answer is read: what is broken, by which import; and a failure is none."""
    package = tmp_path / "p"
    package.mkdir()
    for name, text in (("__init__", ""), ("core", "from p import web\n"), ("web", "")):
        (package / f"{name}.py").write_text(text)
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = p\n[importlinter:contract:1]\nname = No web in core\ntype = forbidden\n"
        "source_modules = p.core\nforbidden_modules = p.web\n"
    )
    program = Path(sys.executable).with_name("lint-imports")

    def lint() -> CommandResult:
        done = subprocess.run([program, "--no-cache"], cwd=tmp_path, capture_output=True, check=False)
        out = Output(head=done.stdout, length=len(done.stdout))
        return CommandResult(ending=Exited(code=done.returncode), stdout=out)

    found = broken_contracts(lint())
    assert found is not None
    assert [f.message for f in found] == ["“No web in core” is broken", "p.core -> p.web"]
    (package / "core.py").write_text("")
    assert broken_contracts(lint()) == []
    shutil.rmtree(package)
    assert broken_contracts(lint()) is None


def sarif(*results: dict[str, object]) -> bytes:
    return json.dumps({"version": "2.1.0", "runs": [{"results": list(results)}]}).encode()


def found_at(rule: str, path: str, line: int, **more: object) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": path}, "region": {"startLine": line}}}
    return {"ruleId": rule, "message": {"text": f"{rule} here"}, "locations": [place], **more}


async def test_sarif_of_a_users_command(gates: GateBench) -> None:
    """What it writes counts instead of its exit code, compared with what it writes at the base."""

    def scanner(asked: FakeCommand) -> FakeOutcome:
        written = asked.tree["results"].data
        files = {**asked.files, "/workspace/out.sarif": FakeFile(REGULAR, written)} if written else None
        return FakeOutcome(ending=Exited(code=1), files=files, stderr=b"no rules")

    one = GateSettings(command=("scan",), sarif="out.sarif", on_failure="block")
    old, new = found_at("R1", "a.c", 3), found_at("R2", "b.c", 5)
    result = await gates.judge(one, {"results": sarif(old)}, {"results": sarif({**old}, new)}, scanner)
    assert [(f.rule, f.path, f.line) for f in result.findings] == [("R2", "b.c", 5)]
    same = await gates.judge(one, {"results": sarif(old)}, {"results": sarif(found_at("R1", "a.c", 30))}, scanner)
    assert same.outcome == "pass"
    quiet = {**new, "suppressions": [{"kind": "external"}]}
    passed = await gates.judge(one, {"results": sarif()}, {"results": sarif(quiet, {**new, "kind": "pass"})}, scanner)
    assert passed.outcome == "pass"
    none = await gates.judge(one, {"results": sarif()}, {"results": ""}, scanner)
    assert (none.outcome, "wrote no SARIF; it printed: no rules" in none.reasons[0]) == ("ask", True)
    hushed = {**new, "suppressions": [{"kind": "inSource"}]}  # by a comment that the change may have brought
    assert (await gates.judge(one, {"results": sarif()}, {"results": sarif(hushed)}, scanner)).outcome == "block"
    broken = await gates.judge(one, {"results": sarif()}, {"results": '{"runs": 5}'}, scanner)
    assert (broken.outcome, "on the change: what it wrote is no SARIF" in broken.reasons[0]) == ("ask", True)


def answering(outcome: FakeOutcome) -> Callable[[FakeCommand], FakeOutcome]:
    return lambda asked: outcome


async def test_a_scanner_that_did_not_scan_is_not_passed(gates: GateBench) -> None:
    """A report in the tree does not stand in for one that was not written, and one that says it failed is none."""
    one = GateSettings(command=("scan",), sarif="out/x.sarif", on_failure="block")
    for code in (0, 127):
        ends = FakeOutcome(ending=Exited(code=code))
        before = {"out/x.sarif": sarif()}
        result = await gates.judge(one, before, {**before, "a": "1"}, answering(ends))
        said = "wrote no SARIF" if code == 0 else "no end of its own (exit code 127)"
        assert (result.outcome, said in result.reasons[0]) == ("ask", True), result

    def killed(asked: FakeCommand) -> FakeOutcome:
        files = {**asked.files, "/workspace/out/x.sarif": FakeFile(REGULAR, sarif())}
        return FakeOutcome(ending=Signalled(signal=9), files=files)

    assert (await gates.judge(one, {"a": "1"}, {"a": "2"}, killed)).outcome == "ask"
    for wrong in (
        {"results": None},
        {},
        {"results": [], "invocations": [{"executionSuccessful": False}]},
    ):
        with pytest.raises(NotSarif, match=r"failed|not scanned"):
            read_sarif(json.dumps({"runs": [wrong]}).encode())
    with pytest.raises(NotSarif):
        read_sarif(b'{"runs": []}')


def test_sarif_that_is_written_is_read_again() -> None:
    """What one gate found comes back as it was; a gate that asks without a finding is one."""
    told = parse_settings('[gates.g]\nkind = "data"\n', name="x").gates["g"]
    assert told.kind == "data"
    finding = read_sarif(sarif(found_at("R1", "a%20b.c", 3)))[0]
    assert finding.path == "a b.c"
    results = [
        GateResult(gate="keys", outcome="block", reasons=("x",), findings=(finding,)),
        GateResult(gate="fine", outcome="pass", reasons=("nothing",)),
        GateResult(gate="slow", outcome="ask", reasons=("inconclusive",)),
    ]
    text = write_sarif(results)
    assert [(f.rule, f.path, f.line) for f in read_sarif(text.encode())] == [
        ("keys/R1", "a b.c", 3),
        ("slow/gate", "", None),
    ]
    twice = write_sarif([GateResult(gate="keys", outcome="block", findings=(finding, finding))])
    prints = [r["partialFingerprints"]["assay/v1"] for r in json.loads(twice)["runs"][0]["results"]]
    assert len(set(prints)) == 2
    other = [finding.model_copy(update={"mark": "another"})] * 2
    assert write_sarif([GateResult(gate="keys", outcome="block", findings=tuple(other))]) == twice
    assert [r["level"] for r in json.loads(text)["runs"][0]["results"]] == ["error", "warning"]
    with pytest.raises(NotSarif):
        read_sarif(b"[]")


async def test_what_was_judged_is_recorded(gates: GateBench) -> None:
    """The ledger holds the outcome, the findings and how commands ended; asked again, nothing runs again."""
    calls = []

    def count(asked: FakeCommand) -> FakeOutcome:
        calls.append(asked.command)
        return FakeOutcome(ending=Exited(code=2))

    one = GateSettings(command=("lint",), on_failure="warn")
    first = await gates.judge(one, {"a": "1"}, {"a": "2"}, count, run="r1")
    assert await gates.judge(one, {"a": "1"}, {"a": "2"}, count, run="r1") == first
    assert len(calls) == 2
    (run,) = await gates.ledger.runs()
    (entry,) = await gates.ledger.entries(run, kinds=(EntryKind.GATE_JUDGED,))
    ran = entry.body["ran"]
    assert isinstance(ran, dict)
    assert set(ran) == {"base", "head"}
