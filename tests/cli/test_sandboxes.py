"""`assay sandbox`: what is listed, removed and entered; and a project's dependencies in `assay check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.cli.program import SHORT, Project, Start, call, execute, finish
from tests.cli.terminals import Terminal
from tests.images.indexes import Index, served_index

from assay.sandboxes.owners import OWNER_LABELS

pytestmark = pytest.mark.docker

PROVIDER = """
import asyncio, sys
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider

async def main():
    async with DockerProvider() as provider:
        box = await provider.open(SandboxProfile(), SandboxOwner(run="check-listed", role="check", step="one"))
        print(box.id, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine as a bystander sees it."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.mark.alone
def test_sandboxes_are_listed_and_those_of_dead_processes_removed(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose each is, whether its owner lives, and what it uses; a prune takes what is left over and nothing else.

    Another assay at work on this engine would remove it first: then there is nothing to see here.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # root file systems that other tests need stay
    owner = subprocess.Popen([sys.executable, "-c", PROVIDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout is not None and owner.stdin is not None
    dead = None
    try:
        box = owner.stdout.readline().decode().strip()
        labels = {**client.containers.get(box).labels, "dev.assay.owner.pid": "1", "dev.assay.owner.started": "1"}
        assert set(OWNER_LABELS) <= set(labels)
        dead = client.containers.create("assay-sandbox/python:latest", ["true"], labels=labels)
        listed = {line["id"]: line for line in call("sandbox", "list", "--json").lines}
        alive, left = listed[box], listed[dead.short_id]
        assert (alive["run"], alive["role"], alive["step"]) == ("check-listed", "check", "one")
        assert (alive["owner"], alive["left_over"], alive["state"]) == ("alive", False, "running")
        assert (alive["process"], alive["memory"] > 0, alive["seconds"] < 60) == (owner.pid, True, True)
        assert (left["owner"], left["left_over"], left["memory"]) == ("dead", True, None)
        shown = call("sandbox", "list")
        assert f"{box}  " in shown.out
        assert "dead, created, left over" in shown.out

        would = call("sandbox", "prune", "--dry-run", "--json").result
        assert dead.short_id in would["sandboxes"]
        assert box not in would["sandboxes"]
        assert dead.id in {one["Id"] for one in client.api.containers(all=True)}
        assert dead.short_id in call("sandbox", "prune", "--json").result["sandboxes"]
        still = {line["id"] for line in call("sandbox", "list", "--json").lines}
        assert (box in still, dead.short_id in still) == (True, False)
        dead = None
    finally:
        owner.stdin.close()
        assert owner.wait(30) == 0
        owner.stdout.close()
        if dead is not None:
            subprocess.run(["docker", "rm", "--force", str(dead.id)], check=False, capture_output=True)


def test_images_are_listed() -> None:
    """What each is, its names, and that the one in use is needed."""
    listed = {name: line for line in call("sandbox", "list", "--images", "--json").lines for name in line["names"]}
    assert listed["assay-sandbox/python:latest"]["kind"] == "profile"
    assert listed["assay-sandbox/python:latest"]["needed"] is True
    assert "assay-sandbox/python:latest" in call("sandbox", "list", "--images").out.replace("\n", "")


def test_a_shell_executes_what_standard_input_says(project: Project, start: Start, tmp_path: Path) -> None:
    """The repository's HEAD is there, nothing is written back, and files come out only where they are asked for."""
    script = tmp_path / "script"
    script.write_text("cat prices.py; echo made > made.txt; echo oops >&2; exit 7\n")
    tar = tmp_path / "out.tar"
    with script.open() as typed:
        said = finish(start("sandbox", "shell", "--repo", project.repo, "--export", tar, stdin=typed))
    assert said.code == 7
    assert said.out == (project.repo / "prices.py").read_text()
    assert "oops\n" in said.err
    assert not (project.repo / "made.txt").exists()
    with tarfile.open(tar) as archive:
        assert {"prices.py", "made.txt", "tests/test_prices.py"} <= set(archive.getnames())
    again = call("sandbox", "shell", "--repo", project.repo, "--export", tar)
    assert (again.code, "is there already" in again.err) == (2, True)
    unknown = call("sandbox", "shell", "--repo", project.repo, "--profile", "nowhere")
    assert (unknown.code, "no sandbox profile 'nowhere'" in unknown.err) == (2, True)


@pytest.mark.parametrize(("place", "why"), [("missing/out.tar", "No such file"), ("file/out.tar", "Not a directory")])
def test_a_place_that_takes_no_file_is_refused_first(project: Project, tmp_path: Path, place: str, why: str) -> None:
    """Before a person does anything in the sandbox that could not be written out."""
    (tmp_path / "file").write_text("")
    with Terminal("sandbox", "shell", "--repo", project.repo, "--export", tmp_path / place) as terminal:
        shown = terminal.wait_for("name a file in a folder of yours")
        assert terminal.end() == 2
    assert why in shown
    assert "sandbox:" not in shown


def test_a_shell_where_there_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it has no files; a repository that cannot be used is something else, and says what it is."""
    monkeypatch.chdir(tmp_path)
    assert call("sandbox", "shell").code == 0
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    said = call("sandbox", "shell")
    assert (said.code, "has no commits" in said.err) == (2, True), said


def test_what_a_killed_shell_leaves_is_pruned(project: Project, state: Path) -> None:
    """Its ref, which kept the objects of the repository, goes; that of a shell that is open stays."""
    with Terminal("sandbox", "shell", "--repo", project.repo) as terminal:
        terminal.wait_for("sandbox:")
        assert call("prune").code == 0
        assert len(_shell_refs(state)) == 1
        terminal.process.kill()
        terminal.process.wait()
        assert len(_shell_refs(state)) == 1
        assert call("prune").code == 0
    assert _shell_refs(state) == []


def _shell_refs(state: Path) -> list[str]:
    command = ["git", "--git-dir", str(state / "git"), "for-each-ref", "--format=%(refname)", "refs/assay/shells"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_shell_on_a_terminal_is_as_isolated_as_a_command(project: Project) -> None:
    """A person types, sees, and ends it with an exit code; size and keys reach the sandbox, privileges do not."""
    with Terminal("sandbox", "shell", "--repo", project.repo) as terminal:
        terminal.wait_for("sandbox:")
        terminal.type("ls; stty size; grep -E '^(Uid|CapEff|CapPrm|NoNewPrivs|Seccomp):' /proc/self/status\n")
        shown = terminal.wait_for("Seccomp:\t2")
        assert "prices.py" in shown
        assert "40 80" in shown
        assert "NoNewPrivs:\t1" in shown
        assert shown.count("0" * 16) == 2
        assert "Uid:\t0" not in shown
        terminal.type("sh -c 'touch /etc/x; exec sleep 100'\n")  # in the foreground from its first line on
        terminal.wait_for("Read-only")
        terminal.type("\x03")
        terminal.wait_for("sandbox:")
        terminal.type("exit 3\n")
        assert terminal.end() == 3


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip on this machine is set up for."""
    with served_index(tmp_path / "index") as index:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        yield index


def test_a_check_has_what_the_lock_files_pin(
    project: Project, index: Index, state: Path, client: docker.DockerClient
) -> None:
    """A layer for the base and one for the head, each made with a line that says so, used, and named in evidence."""
    pins = {}
    for version in ("2.0", "2.1"):
        digest = index.add_wheel("taxes", version, {"taxes.py": "RATE = 19\n"})
        pins[version] = f"taxes=={version} --hash={digest}\n"
    settings = f'{SHORT}[sandboxes.default]\ndependencies = "requirements.lock"\n'
    prices = "from taxes import RATE\n" + (project.repo / "prices.py").read_text()
    lock = {"requirements.lock": pins["2.0"]}
    project.repository.commit({"assay.toml": settings, "prices.py": prices, **lock}, "Lock")
    change = project.change("newer", {"requirements.lock": pins["2.1"]})
    said = execute("check", change, "--repo", project.repo, "--json")
    assert said.err.count("installing 1 distributions in a container without network") == 2
    try:
        assert said.result["verdict"] == "proven", said
        assert "S14" in {step["id"] for step in said.result["steps"]}
        assert "dependency-changed" in {flag["kind"] for flag in said.result["flags"]}
        kept = [path.read_bytes() for path in (state / "blobs").glob("??/*")]
        images = [json.loads(blob) for blob in kept if b'"pypi/taxes ' in blob and b'"packages"' in blob]
        found = {image["packages"][-1]: image for image in images}
        assert found.keys() == {"pypi/taxes 2.0", "pypi/taxes 2.1"}
        evidence = [json.loads(blob) for blob in kept if b'"image_record"' in blob]
        usual = {(one["purpose"], one["cell"]["source"]): one["image"] for one in evidence}
        assert usual["regression", "base"] == found["pypi/taxes 2.0"]["id"]
        assert usual["regression", "head"] == found["pypi/taxes 2.1"]["id"]
        assert all(image["lock"].startswith("sha256:") for image in images)
        report = Path(said.result["evidence"]).read_text()
        assert "pypi/taxes 2.0" in report
        assert "pypi/taxes 2.1" in report
    finally:
        for image in client.images.list("assay-sandbox/dependencies"):
            if "pypi/taxes=2." in image.labels.get("dev.assay.dependencies.packages", ""):
                for layer in client.images.list(filters={"label": f"dev.assay.supervisor.base={image.id}"}):
                    client.images.remove(str(layer.id), force=True)
                client.images.remove(str(image.id), force=True)


def test_a_lock_file_that_is_not_there_is_named(project: Project) -> None:
    """With the profile that asks for it, the commit, and exit code 2."""
    project.repository.commit({"assay.toml": '[sandboxes.default]\ndependencies = "nowhere.lock"\n'}, "Settings")
    said = call("check", project.change("x", {"x.py": "x = 1\n"}), "--repo", project.repo)
    assert said.code == 2
    assert "[sandboxes.default] dependencies: there is no file 'nowhere.lock'" in said.err


def test_doctor_looks_at_the_images_of_profiles(project: Project) -> None:
    """Those that the repository names, of this program's own and others."""
    settings = '[sandboxes.strong]\nimage = "assay-test-nowhere:1"\n\n[sandboxes.small]\nimage = "base"\n'
    project.repository.commit({"assay.toml": settings}, "Settings")
    found = {line["subject"]: line for line in call("doctor", "--repo", project.repo, "--json").lines}
    assert {"image python", "image base"} <= set(found)
    assert "image node" not in found
    assert not found["image of [sandboxes.strong]"]["ok"]


def test_doctor_looks_at_the_runtimes_of_profiles(project: Project) -> None:
    """A runtime that the engine does not know is named with its profile, and what mends it."""
    project.repository.commit({"assay.toml": '[sandboxes.strong]\nruntime = "runsc-nowhere"\n'}, "Settings")
    said = call("doctor", "--repo", project.repo, "--json")
    found = {line["subject"]: line for line in said.lines}["runtime of [sandboxes.strong]"]
    assert (said.code, found["ok"]) == (3, False)
    assert "runsc-nowhere" in found["mend"]
