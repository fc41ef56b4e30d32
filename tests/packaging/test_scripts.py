"""The scripts behind `make`: they refuse, start, stop and repeat as they say."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL_SCRIPTS = (*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run")


def script(name: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of the checkout with the virtual environment that runs the tests."""
    own = {"ASSAY_VENV": sys.prefix, **(environment or {})}
    start = ["bash"] if name.endswith(".sh") else [sys.executable, "-P"]
    return subprocess.run(
        [*start, str(ROOT / "scripts" / name), *arguments],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("path", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse_and_are_executable(path: Path) -> None:
    """`bash -n` reads a script without running it."""
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    assert path.name == "environment.sh" or os.access(path, os.X_OK)


def test_ci_runs_the_readmes_own_command() -> None:
    """Nothing cleverer: what CI proves is what a person types."""
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("exec")]
    assert commands == ["exec make test </dev/null"]


def test_every_target_names_a_script_that_is_there() -> None:
    """The Makefile is thin; a script that was renamed would be found by a person only."""
    words = (ROOT / "Makefile").read_text().replace("@", " ").split()
    named = {word for word in words if word.startswith("scripts/") and word.endswith(".sh")}
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.fixture
def apart() -> Iterator[dict[str, str]]:
    """Settings for an engine apart, in a short path: a socket's name has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="assay-") as directory:
        root = Path(directory)
        host = f"unix://{root / 'engine' / 'docker.sock'}"
        state = f"{root / 'state'}"
        settings = {"ASSAY_STATE": state, "SETUP_STATE": state, "ASSAY_ENGINE_ROOT": f"{root / 'engine'}"}
        yield {**settings, "XDG_CACHE_HOME": f"{root / 'cache'}", "DOCKER_HOST": host, "DOCKER": "install"}
        script("engine.py", "clean", environment=settings)


def test_nothing_is_installed_or_started_where_that_is_forbidden(apart: dict[str, str]) -> None:
    """Exit 2, what is missing, and what to do; and no engine."""
    done = script("setup.sh", "demo", environment={**apart, "DOCKER": "no-install"})
    assert done.returncode == 2, done.stderr
    assert "DOCKER=no-install" in done.stderr
    assert "next:" in done.stderr
    assert not Path(apart["ASSAY_ENGINE_ROOT"]).exists()


def test_a_docker_host_that_does_not_answer_is_the_users_to_mend(apart: dict[str, str]) -> None:
    """Another engine would not be the one that was asked for."""
    del apart["ASSAY_ENGINE_ROOT"]
    done = script("engine.py", "ensure", environment={**apart, "DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert done.returncode == 2
    assert "tcp://127.0.0.1:1" in done.stderr


def test_packages_are_not_installed_without_apt(tmp_path: Path) -> None:
    """On another system, the person is told what is missing and how to get it."""
    for tool in ("bash", "dirname", "id", "env"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    environment = {"PATH": str(tmp_path), "ASSAY_STATE": str(tmp_path / "state")}
    done = script("apt_install.sh", "some-package", environment=environment)
    assert done.returncode == 2, done.stderr
    assert "some-package" in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.docker
def test_an_engine_is_started_once_and_only_it_is_stopped(apart: dict[str, str]) -> None:
    """Its start is announced before it happens; the machine's own engine never notices."""
    client = docker.from_env()
    before = client.info()["DockerRootDir"]
    started = script("engine.py", "ensure", environment=apart)
    assert started.returncode == 0, started.stderr
    assert "starting the Docker engine" in started.stderr
    note = Path(apart["ASSAY_STATE"]) / "engine" / "started.json"
    own = docker.DockerClient(base_url=apart["DOCKER_HOST"])
    assert own.info()["DockerRootDir"] == f"{apart['ASSAY_ENGINE_ROOT']}/data" != before
    own.close()

    again = script("engine.py", "ensure", environment=apart)
    assert (again.returncode, again.stderr) == (0, "")
    pid = json.loads(note.read_text())["pid"]
    descriptor = os.pidfd_open(pid)
    stopped = script("engine.py", "clean", environment=apart)
    assert f"process {pid}" in stopped.stderr
    assert _has_ended(descriptor)
    assert not note.exists()
    assert "nothing to stop" in script("engine.py", "clean", environment=apart).stderr
    assert client.info()["DockerRootDir"] == before
    client.close()


@pytest.mark.docker
def test_what_a_half_finished_start_left_is_no_obstacle(apart: dict[str, str]) -> None:
    """A pid file and a note that name a living process which is no engine: it is left alone, and one starts."""
    state = Path(apart["ASSAY_STATE"]) / "engine"
    state.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        (state / "dockerd.pid").write_text(str(bystander.pid))
        (state / "started.json").write_text(json.dumps({"kind": "dockerd", "pid": bystander.pid}))
        assert "nothing to stop" in script("engine.py", "clean", environment=apart).stderr
        (state / "dockerd.pid").write_text(str(bystander.pid))
        started = script("engine.py", "ensure", environment=apart)
        assert started.returncode == 0, started.stderr
        (state / "started.json").write_text("{")
        assert "stopping the Docker engine" in script("engine.py", "clean", environment=apart).stderr
        assert bystander.poll() is None
        bystander.kill()


def _has_ended(descriptor: int) -> bool:
    ready = select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    return bool(ready)


def test_a_file_that_is_too_long_is_found(tmp_path: Path) -> None:
    """The cap holds for files that git does not know yet, too."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "long.py").write_text("x = 1\n" * 401)
    (tmp_path / "short.py").write_text("x = 1\n" * 400)
    done = script("lengths.py", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["long.py: 401 lines, the cap is 400: split it by what it does"]
    assert script("lengths.py").returncode == 0


def test_a_benchmark_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    """One misses a goal, one cannot run here: the last still runs, and the end says which failed."""
    for name in ("bench.sh", "environment.sh"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        (tmp_path / "scripts" / name).write_text((ROOT / "scripts" / name).read_text())
    setup = tmp_path / "scripts" / "setup.sh"
    setup.write_text("#!/bin/sh\n")
    setup.chmod(0o755)
    (tmp_path / "benchmarks").mkdir()
    for name, code in (("a_missed", 1), ("b_lacking", 3), ("c_fine", 0)):
        (tmp_path / "benchmarks" / f"{name}.py").write_text(f"print('{name} ran')\nraise SystemExit({code})\n")
    environment = {**os.environ, "ASSAY_VENV": sys.prefix}
    command = ["bash", str(tmp_path / "scripts" / "bench.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["a_missed ran", "b_lacking ran", "c_fine ran", ""]
    said = "failed: benchmarks/a_missed.py (exit 1); benchmarks/b_lacking.py (exit 3);"
    assert (done.returncode, said in done.stderr) == (1, True)
    for name in ("a_missed", "b_lacking"):
        (tmp_path / "benchmarks" / f"{name}.py").unlink()
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


SKIPPING = """
import pytest
@pytest.mark.docker
def test_of_docker(): pytest.skip("no engine")
@pytest.mark.skip(reason="by mark")
@pytest.mark.browser
def test_of_the_browser(): pass
def test_of_neither(): pytest.skip("fine")
@pytest.mark.docker
@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""
BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""For sessions of two tests, which load no plug-in that they do not name."""


@pytest.mark.parametrize(
    ("forbidden", "workers", "summary"),
    [
        ("1", "0", "1 failed, 1 skipped, 1 xfailed, 1 error"),
        ("1", "2", "1 failed, 1 skipped, 1 xfailed, 1 error"),
        ("", "0", "3 skipped, 1 xfailed"),
    ],
)
def test_a_skipped_docker_test_is_a_failure_where_skips_are_forbidden(
    tmp_path: Path, forbidden: str, workers: str, summary: str
) -> None:
    """By mark or in the middle; other tests may be skipped, and an expected failure is none."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    docker: x\n    browser: x\n")
    (tmp_path / "test_it.py").write_text(SKIPPING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", workers],
        cwd=tmp_path, env={**BARE, "ASSAY_FORBID_SKIPS": forbidden}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert summary in done.stdout.splitlines()[-1], done.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_module_that_is_skipped_whole_is_a_failure_where_skips_are_forbidden(tmp_path: Path, workers: str) -> None:
    """What it would have held is not known."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text("import pytest\npytest.importorskip('nothing_of_this_name')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", workers],
        cwd=tmp_path, env={**BARE, "ASSAY_FORBID_SKIPS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "skipped whole" in done.stdout
