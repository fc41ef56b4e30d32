"""Gates with scanners of other people: they read, run nothing of the change, and fail closed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gate_bench import GateBench, gate

from assay.errors import ConfigurationError
from assay.evidence.gates import check_tools
from assay.policies.settings import Settings

KEY = "AKIA" + "IOSFODNN7EXAMPLR"


async def test_secrets(gates: GateBench) -> None:
    """A new key is found, whatever a comment beside it says; one that was there, or moved, is not the change's."""
    leak = f'KEY = "{KEY}"  # pragma: allowlist secret\n'
    found = await gates.judge(gate("secrets"), {"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{leak}"})
    assert (found.outcome, found.findings[0].path, found.findings[0].line) == ("block", "a.py", 2)
    assert KEY not in found.model_dump_json()
    again = await gates.judge(gate("secrets"), {"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{leak}"})
    assert again.findings[0].mark != found.findings[0].mark  # or whoever guesses the secret could tell by the mark
    assert (
        "hunter" not in (await gates.judge(gate("security"), {}, {"a.py": "password = 'hunter'\n"})).model_dump_json()
    )
    moved = await gates.judge(gate("secrets"), {"a.py": leak}, {"b.py": f"y = 2\n{leak}"})
    assert moved.reasons == ("nothing new in 1 changed file",)
    twice = await gates.judge(gate("secrets"), {"a.py": leak}, {"a.py": leak, "b.py": leak})
    assert [f.path for f in twice.findings] == ["b.py"]
    assert (
        (await gates.judge(gate("secrets"), {}, {"x.bin": b"\0" + KEY.encode()}))
        .reasons[0]
        .endswith("0 changed files (1 more are no text)")
    )
    long = await gates.judge(gate("secrets"), {}, {"a.txt": "x " * 1_100_000})
    assert (long.outcome, long.reasons) == ("ask", ("too long to be scanned: a.txt",))


async def test_secrets_in_files_of_any_name(gates: GateBench) -> None:
    """Neither a name that a scanner leaves out nor a byte that it cannot read hides a key."""
    leak = f'KEY = "{KEY}"\n'
    for name in ("swagger.json", "package-lock.json", "a.svg", "poetry.lock", ".env", ".secrets.baseline", "-x.py"):
        found = await gates.judge(gate("secrets"), {}, {name: leak})
        assert [f.path for f in found.findings] == [name], found
    comment = await gates.judge(gate("secrets"), {}, {"a.yaml": f"a: 1\n# {KEY}\n"})
    assert [f.line for f in comment.findings] == [2]
    for data in (f"x\n{leak}".encode("utf-16"), b"\0\n" + leak.encode(), f"x\n{leak}".encode("utf-16-be")):
        hidden = await gates.judge(gate("secrets"), {}, {"a.py": data})
        assert [(f.path, f.line) for f in hidden.findings] == [("a.py", 2)], data
    latin = await gates.judge(gate("secrets"), {}, {"a.py": f"# caf\xe9\n{leak}".encode("latin-1")})
    assert [(f.path, f.line) for f in latin.findings] == [("a.py", 2)]


async def test_weak_code_in_files_of_any_name(gates: GateBench) -> None:
    """Names that bandit leaves out are looked at, and a stub is told from the program that it would be laid on."""
    weak = "import subprocess\n\n\ndef f(x):\n    subprocess.call('ls ' + x, shell=True)\n"
    names = ("CVSS.py", "a.egg/b.py", "a.pyi", "a.pyi.py")
    found = await gates.judge(gate("security"), {}, dict.fromkeys(names, weak))
    assert {f.path for f in found.findings if f.rule == "B602"} == set(names)


async def test_weak_code(gates: GateBench) -> None:
    """Bandit's finding is the change's when it is new, and `nosec` does not silence it; old lines may move."""
    weak = "import subprocess\n\n\ndef f(x):\n    subprocess.call('ls ' + x, shell=True)  # nosec\n"
    found = await gates.judge(gate("security"), {"a.py": "x = 1\n"}, {"a.py": weak})
    assert found.outcome == "block"
    assert "B602" in {f.rule for f in found.findings}
    old = await gates.judge(gate("security"), {"a.py": weak}, {"a.py": f"y = 1\n{weak}z = 2\n"})
    assert (old.outcome, old.findings) == ("pass", ())
    broken = await gates.judge(gate("security"), {}, {"a.py": "def f(:\n"})
    assert broken.outcome == "ask"
    assert broken.reasons[0].startswith("bandit cannot read a.py")
    other = await gates.judge(gate("security"), {}, {"a.js": "eval(x)\n"})
    assert other.reasons == ("nothing new in 0 changed files",)


async def test_scanners_read_and_run_nothing(gates: GateBench, tmp_path: Path) -> None:
    """Files that Python or a scanner would take for its own settings are laid where neither looks, and are not run."""
    mine = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).write_text('x')\n"
    names = (
        "sitecustomize.py",
        "bandit.py",
        "json.py",
        "setup.py",
        "../x.py",
        "-rf.py",
        ".bandit",
        "detect_secrets.py",
    )
    head = {name: mine for name in names if not name.startswith("..")} | {".bandit": "[bandit]\nskips = B101,B602\n"}
    for kind in ("secrets", "security"):
        assert (await gates.judge(gate(kind), {}, head)).outcome in ("pass", "block")
    assert not (tmp_path / "ran").exists()


def test_a_gate_without_its_scanner_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is not installed is named with what installs it, before anything starts; it never passes in silence."""
    settings = Settings(gates={"keys": gate("secrets")})
    check_tools(settings)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="the gate 'keys' needs detect-secrets") as caught:
        check_tools(settings)
    assert caught.value.next_step == "pip install 'assay[gates]'"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="names rules for semgrep, which is not installed"):
        check_tools(Settings(gates={"x": gate("security", rules=["rules.yaml"])}))
    (tmp_path / "semgrep").write_text("#!/bin/sh\n")
    (tmp_path / "semgrep").chmod(0o755)
    with pytest.raises(ConfigurationError, match="names rules that do not exist: /nowhere") as caught:
        check_tools(Settings(gates={"x": gate("security", rules=["/nowhere"])}))
    assert "name a file or folder" in str(caught.value.next_step)


async def test_a_scanner_that_fails_does_not_pass(gates: GateBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit code, or output that is none of its kind, is a question."""
    for tool, said in ((["sh", "-c", "echo no >&2; exit 3"], "exit code 3: no"), (["echo"], "cannot be read")):
        monkeypatch.setattr("assay.evidence.gates.secrets.python_tool", lambda module, words=tool: words)
        result = await gates.judge(gate("secrets"), {}, {"a.py": f"x = {said!r}\n"})
        assert result.outcome == "ask"
        assert said in result.reasons[0]


SEMGREP = """#!{python}
import json, pathlib, sys
found = []
for path in sorted(pathlib.Path(sys.argv[-1]).rglob("*.js")):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if "eval(" in line:
            found.append({{"check_id": "no-eval", "path": str(path), "start": {{"line": number}},
                          "end": {{"line": number}}, "extra": {{"message": "no eval", "lines": "requires login"}}}})
skipped = [{{"path": str(path), "reason": "too_big"}} for path in pathlib.Path(sys.argv[-1]).rglob("*.ts")]
errors = [{{"level": "warn", "message": "no"}} for path in pathlib.Path(sys.argv[-1]).rglob("*.go")]
print(json.dumps({{"results": found, "errors": errors, "paths": {{"skipped": skipped}}}}))
"""


async def test_rules_of_semgrep(gates: GateBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its findings are told apart by the code, which it does not show itself. (semgrep is stood in for: 200 MB.)"""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "semgrep"
    program.write_text(SEMGREP.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    one = gate("security", rules=[str(tmp_path / "rules.yaml")])
    result = await gates.judge(one, {"a.js": "eval(a)\n"}, {"a.js": "x\neval(a)\neval(b)\n"})
    assert [(f.rule, f.path, f.line) for f in result.findings] == [("no-eval", "a.js", 3)]
    for name, said in (("x.ts", "semgrep left out x.ts: too_big"), ("x.go", "semgrep: no")):
        unseen = await gates.judge(one, {}, {name: "1\n"})
        assert (unseen.outcome, unseen.reasons) == ("ask", (said,))
