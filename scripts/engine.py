"""Make a Docker engine answer, and stop exactly the one that was started here.

    engine.py ensure    use the engine that answers; or else install docker.io and start one, as root on Debian
    engine.py clean     stop the engine that `ensure` started, and no other

With `DOCKER=no-install` nothing is installed or started: what is missing is said, and the exit code is 2.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 40
APT_INSTALL = Path(__file__).with_name("apt_install.sh")
TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SOCKET = Path("/var/run/docker.sock")


class EngineProblem(Exception):
    """No engine answers, and none may or can be started."""

    def __init__(self, message: str, next_step: str, *, exit_code: int = 2) -> None:
        super().__init__(f"error: {message}\n  next: {next_step}")
        self.exit_code = exit_code


@dataclass(frozen=True, kw_only=True)
class Started:
    """An engine that was started here; written down so that it, and only it, can be stopped."""

    kind: str
    """`dockerd`, a process of ours, or `systemd`, the unit docker.service."""
    pid: int = 0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where the engine that `ensure` would start has its things."""

    state: Path
    """Directory for its log, its pid file and the note of what was started."""
    root: Path | None
    """Directory for an engine apart from the machine's own: socket, data, everything."""

    @property
    def note(self) -> Path:
        return self.state / "started.json"

    @property
    def log(self) -> Path:
        return self.state / "dockerd.log"

    @property
    def pid_file(self) -> Path:
        return self.state / "dockerd.pid"

    @property
    def host(self) -> str:
        return f"unix://{self.root / 'docker.sock' if self.root else DEFAULT_SOCKET}"

    @property
    def run_directory(self) -> Path:
        return self.root / "run" if self.root else Path("/var/run/docker")

    def command(self, *, bridge: bool) -> list[str]:
        """Return the command that starts it. Sandboxes have no network, so it can do without a bridge.

        An engine apart gets a network namespace of its own: one without a bridge removes `docker0` from
        where it runs, and the machine's own engine would have lost it.
        """
        own_network = ["unshare", "--net", "--"] if self.root else []
        apart = [f"--data-root={self.root / 'data'}", f"--exec-root={self.run_directory}"] if self.root else []
        network = [] if bridge else ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        return [*own_network, "dockerd", f"--host={self.host}", f"--pidfile={self.pid_file}", *apart, *network]


def say(line: str) -> None:
    """Tell the person what happens."""
    sys.stderr.write(f"==> {line}\n")
    sys.stderr.flush()


def ensure(engine: Engine, *, may_install: bool) -> None:
    """Return when an engine answers; raises EngineProblem when none does and none may be started."""
    problem = why_no_answer()
    if problem is None:
        return
    elsewhere = chosen_elsewhere()
    if elsewhere and engine.root is None:
        raise EngineProblem(
            f"{elsewhere}, and no engine answers there: {problem}",
            "start that engine, or choose this machine's: unset DOCKER_HOST; docker context use default",
        )
    if "Permission denied" in problem:
        raise EngineProblem(
            f"this user may not speak to the Docker engine: {problem}",
            f"sudo usermod -aG docker {os.environ.get('USER', '$USER')}, log in again, and repeat",
        )
    if not may_install:
        raise EngineProblem(
            f"no Docker engine answers ({problem}), and DOCKER=no-install forbids to install or start one",
            "start your engine (as root: systemctl start docker, or dockerd), or repeat without DOCKER=no-install",
        )
    if os.geteuid() != 0:
        raise EngineProblem(
            f"no Docker engine answers ({problem}), and starting one needs root",
            "sudo apt-get install docker.io && sudo systemctl start docker && sudo usermod -aG docker $USER",
        )
    if shutil.which("dockerd", path=TOOL_PATH) is None:
        install()
    start(engine)


def why_no_answer() -> str | None:
    """Return None when an engine answers, and what went wrong otherwise."""
    # Imported here, since `clean` must work after the environment that holds them was removed.
    import requests
    from docker.errors import DockerException

    from assay.sandboxes.engine import connect

    try:
        client = connect()
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, requests.RequestException, OSError) as error:
        return str(error)
    return None


def chosen_elsewhere() -> str | None:
    """Return how the person chose another engine than this machine's own, or None."""
    from docker.context import ContextAPI

    if os.environ.get("DOCKER_HOST"):
        return f"DOCKER_HOST is {os.environ['DOCKER_HOST']!r}"
    name = getattr(ContextAPI.get_current_context(), "name", "default")  # None where the named one does not exist
    return None if name == "default" else f"docker's context is {name!r}"


def install() -> None:
    """Install docker.io from the machine's apt."""
    if shutil.which("apt-get") is None:
        raise EngineProblem("no Docker engine is installed, and there is no apt-get", "install Docker Engine yourself")
    packages = ["docker.io", "iptables", *([] if under_systemd() else ["cgroupfs-mount"])]
    say("no Docker engine answers, and none is installed (installing one takes a minute or two)")
    done = subprocess.run([APT_INSTALL, *packages], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise EngineProblem("docker.io could not be installed", "look at what apt says above", exit_code=3)


def start(engine: Engine) -> None:
    """Start an engine in the background and wait until it answers."""
    engine.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if under_systemd() and engine.root is None:
        say("starting the Docker engine: systemctl start docker")
        subprocess.run(["systemctl", "start", "docker"], stdin=subprocess.DEVNULL, check=False)
        write_note(engine, Started(kind="systemd"))
        wait_for_answer(lambda: True, lambda: "see: journalctl -u docker")
        return
    say(f"starting the Docker engine: dockerd on {engine.host}, log in {engine.log} (stop it: make clean-engine)")
    prepare_control_groups()
    try:
        start_daemon(engine, bridge=engine.root is None)
    except EngineProblem as problem:
        if engine.root is not None or "iptables" not in str(problem):
            raise
        say("it could not set up a network bridge; starting it without, which sandboxes do not need")
        start_daemon(engine, bridge=False)


def start_daemon(engine: Engine, *, bridge: bool) -> None:
    """Start dockerd as a process of its own session, which holds nothing of ours open."""
    forget_dead(engine)
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
    environment = {name: os.environ[name] for name in names if name in os.environ} | {
        "PATH": TOOL_PATH,
        "HOME": "/root",
    }
    if engine.root is not None:
        engine.root.mkdir(parents=True, exist_ok=True)
    with engine.log.open("wb") as log:
        process = subprocess.Popen(
            engine.command(bridge=bridge),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    write_note(engine, Started(kind="dockerd", pid=process.pid))
    try:
        wait_for_answer(lambda: process.poll() is None, lambda: last_lines(engine.log))
    except BaseException:
        stop_daemon(engine, process.pid)
        engine.note.unlink(missing_ok=True)
        raise


def wait_for_answer(alive: Callable[[], bool], said: Callable[[], str]) -> None:
    """Return when an engine answers; raises EngineProblem when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while why_no_answer() is not None:
        if not alive():
            raise EngineProblem(f"the Docker engine ended at once:\n{said()}", "mend what it names", exit_code=3)
        if time.monotonic() > deadline:
            raise EngineProblem(
                f"the Docker engine did not answer within {START_SECONDS} s:\n{said()}",
                "mend what it names",
                exit_code=3,
            )
        time.sleep(0.2)


def clean(engine: Engine) -> None:
    """Stop the engine that was started here; say so where there is none."""
    started = read_note(engine)
    if started and started.kind == "systemd":
        say("stopping the Docker engine: systemctl stop docker.socket docker")
        subprocess.run(["systemctl", "stop", "docker.socket", "docker"], stdin=subprocess.DEVNULL, check=True)
    elif not any(stop_daemon(engine, pid) for pid in {started and started.pid, pid_in(engine.pid_file)} if pid):
        say("no engine that was started here is running; nothing to stop")
    forget_dead(engine)
    engine.note.unlink(missing_ok=True)


def stop_daemon(engine: Engine, pid: int) -> bool:
    """End a process by SIGTERM, or by SIGKILL where that takes too long, if it is the dockerd that was started here.

    It is known by the pid file that it was given, which is in our own directory: its number alone may
    have come to name another process. Returns whether it was that one.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        given = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if f"--pidfile={engine.pid_file}".encode() not in given:
            return False
        say(f"stopping the Docker engine: dockerd, process {pid}")
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(descriptor, wanted)
            if select.select([descriptor], [], [], STOP_SECONDS)[0]:
                break
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended while we looked
    finally:
        os.close(descriptor)
    return True


def pid_in(path: Path) -> int | None:
    """Return the number in a pid file, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def forget_dead(engine: Engine) -> None:
    """Remove pid files of processes that are gone, or the engine would not start beside them."""
    for path, name in (
        (engine.pid_file, "dockerd"),
        (engine.run_directory / "containerd" / "containerd.pid", "containerd"),
    ):
        try:
            alive = Path(f"/proc/{pid_in(path)}/comm").read_text().strip() == name
        except OSError:
            alive = False
        if not alive:
            path.unlink(missing_ok=True)


def prepare_control_groups() -> None:
    """Mount the control groups where no init system did."""
    if os.path.ismount("/sys/fs/cgroup"):
        return
    say("mounting the control groups, which no init system did here")
    by_hand = ["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"]
    packaged = shutil.which("cgroupfs-mount", path=TOOL_PATH)
    subprocess.run([packaged] if packaged else by_hand, check=False, env={**os.environ, "PATH": TOOL_PATH})


def under_systemd() -> bool:
    """Whether systemd runs this machine; the test is sd_booted(3)'s."""
    return Path("/run/systemd/system").is_dir()


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log."""
    return "\n".join(path.read_text(errors="backslashreplace").splitlines()[-count:])


def write_note(engine: Engine, started: Started) -> None:
    """Write down what was started."""
    temporary = engine.note.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(started)))
    temporary.replace(engine.note)


def read_note(engine: Engine) -> Started | None:
    """Return what was started, or None."""
    try:
        return Started(**json.loads(engine.note.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def main(arguments: list[str]) -> int:
    """Do what the first argument says, and return the exit code."""
    root = os.environ.get("ASSAY_ENGINE_ROOT")
    engine = Engine(state=Path(os.environ["SETUP_STATE"]) / "engine", root=Path(root) if root else None)
    try:
        if arguments == ["ensure"]:
            ensure(engine, may_install=os.environ.get("DOCKER") != "no-install")
        elif arguments == ["clean"]:
            clean(engine)
        else:
            sys.stderr.write((__doc__ or "") + "\n")
            return 2
    except EngineProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
