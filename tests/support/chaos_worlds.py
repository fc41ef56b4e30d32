"""Worlds (a state directory and a target repository), their copies, and the processes that live in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos_facts import Facts, differences
from chaos_host import HostCommands
from chaos_kills import Phase, Point, Where
from chaos_runs import Job
from chaos_ticket import UNITS, ChaosTicket, make_repository

_SUPPORT = Path(__file__).parent
_ONCE_WRITTEN = ("state/blobs", "state/git/objects", "repo/.git/objects")
"""Where files are written once and never changed: a copy may share them."""
AT_ONCE = os.cpu_count() or 2


@dataclass(frozen=True, slots=True)
class World:
    """One state directory and one target repository."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> World:
        """Make a world in which nothing has happened yet."""
        (path / "state" / "cache" / "baselines").mkdir(parents=True, mode=0o700)
        # The names in transformed tests come from it: the same one in each world makes the same evidence comparable.
        (path / "state" / "cache" / "baselines" / "key").write_text("0" * 64)
        make_repository(path / "repo")
        return cls(path)

    def copy(self, path: Path) -> World:
        """Return a copy. Where a process that is stopped lives in this one, it is what a kill would leave behind."""
        _copy(self.path, path, "")
        return World(path)

    def is_begun(self) -> bool:
        """Whether a run has begun to be recorded; before that there is nothing to resume."""
        try:
            with closing(sqlite3.connect(f"file:{self.path}/state/ledger.sqlite3?mode=ro", uri=True)) as ledger:
                return bool(ledger.execute("SELECT count(*) FROM entries").fetchone()[0])
        except sqlite3.OperationalError:  # there is no such file or table yet
            return False

    def written(self) -> frozenset[tuple[str, int, str]]:
        """Return each file with its size and its time, or its digest where a database writes in place.

        Copies of one world that have the same are one. (What SQLite keeps beside its files for processes that use them
        at the same time is made anew by the first one that opens them.)
        """
        files = [path for path in self.path.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
        return frozenset((str(path.relative_to(self.path)), *_mark(path)) for path in files)


def _mark(path: Path) -> tuple[int, str]:
    stat = path.stat()
    in_place = ".sqlite3" in path.name
    return stat.st_size, hashlib.sha256(path.read_bytes()).hexdigest() if in_place else str(stat.st_mtime_ns)


def _copy(source: Path, target: Path, inside: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as found:
        for entry in found:
            place, name = target / entry.name, f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                _copy(Path(entry.path), place, f"{name}/")
            elif name.startswith(_ONCE_WRITTEN):
                os.link(entry.path, place)
            else:
                shutil.copy2(entry.path, place, follow_symlinks=False)


@dataclass(slots=True)
class Laboratory:
    """Where worlds are made, killed and resumed."""

    folder: Path
    docker: bool = False
    units: tuple[str, ...] = UNITS
    ticket: ChaosTicket = field(init=False)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.ticket = ChaosTicket.write(self.folder / "ticket", self.units)
        HostCommands.make(self.host)

    @property
    def host(self) -> Path:
        """Where the commands of fake sandboxes are executed."""
        return self.folder / "host"

    def world(self) -> World:
        """Return a fresh world."""
        return World.make(self._place("world"))

    def job(self, world: World, **what: object) -> Job:
        """Return what a process is to do in a world."""
        return Job.model_validate(
            {
                "world": str(world.path),
                "ticket": str(self.ticket.folder),
                "out": str(self._place("facts")),
                "memory": None if self.docker else str(self.host),
                **what,
            }
        )

    def resume(self, world: World, **what: object) -> Job:
        """Return the job of going on with the run in a world; of starting it, where nothing was recorded yet."""
        return self.job(world, start=not world.is_begun(), **what)

    def snapshot(self, world: World) -> World:
        """Return a copy of a world."""
        return world.copy(self._place("copy"))

    def _place(self, what: str) -> Path:
        self._numbers += 1
        return self.folder / f"{what}-{self._numbers}"


@contextmanager
def laboratory(*, docker: bool = False, units: tuple[str, ...] = UNITS) -> Iterator[Laboratory]:
    """Yield a laboratory in memory where there is room for it: a kill loses nothing that a disk would have kept."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="assay-chaos-", dir=place) as folder:
        yield Laboratory(Path(folder), docker, units)


def watch(job: Job, at: Callable[[Point], None]) -> Facts:
    """Do a job in a process that stops itself at each point, and goes on when `at` has returned."""
    with _started("chaos_runs.py", job.model_copy(update={"pause": True}).model_dump_json()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, phase, what = line.rstrip("\n").split(" ", 2)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"the process ended: {os.waitstatus_to_exitcode(status)}"
            at(Point(int(number), _phase(phase), what))
            process.send_signal(signal.SIGCONT)
        assert process.wait() == 0
    return facts(job)


def _phase(text: str) -> Phase:
    return "before" if text == "before" else "after"


def what_is_wrong(jobs: Sequence[Job], whole: Facts, *, warming: Job | None = None) -> list[str]:
    """Do jobs, and return for each in what its run differs from one that nobody killed."""
    return [
        "\n".join(differences(whole, facts(job))) if end == 0 else f"ended with {end}: {log(job)}"
        for job, end in zip(jobs, perform_all(jobs, warming=warming), strict=True)
    ]


def wrong_after(points: Sequence[tuple[Point, World]], whole: Facts, resume: Callable[[World], Job]) -> dict[str, str]:
    """Go on from each point in its copy of the world, and return what is wrong, by point.

    Where nothing was written between two points, a kill leaves the same at both, and the first speaks for the other.

    Args:
        points: with the copies, which stay as they are.
        whole: the run that the copies are of.
        resume: makes the job that goes on in a world.
    """
    same: dict[object, tuple[str, World]] = {}
    for point, world in points:
        same.setdefault(world.written(), (f"{point.phase} {point.place}", world))
    jobs = [resume(world.copy(world.path.with_suffix(".resumed"))) for _, world in same.values()]
    _, early = points[2]
    warming = resume(early.copy(early.path.with_suffix(".warming")))
    wrong = what_is_wrong(jobs, whole, warming=warming)
    return {place: text for (place, _), text in zip(same.values(), wrong, strict=True) if text}


def kill_all(lab: Laboratory, points: Sequence[tuple[Where, Phase]], *, missed: int = 0, **what: object) -> list[World]:
    """Return worlds in each of which a run was started and really killed at one of these points.

    Args:
        lab: the laboratory.
        points: where to kill.
        missed: how many may go through because what runs in parallel made a call less than another time.
        what: more for the jobs.
    """
    worlds = [lab.world() for _ in points]
    jobs = [lab.job(world, start=True, kill=point, **what) for world, point in zip(worlds, points, strict=True)]
    alive = [
        (point, end, log(job)) for point, job, end in zip(points, jobs, perform_all(jobs), strict=True) if end >= 0
    ]
    assert len(alive) <= missed and all(end == 0 for _, end, _ in alive), alive
    return worlds


def perform_all(jobs: Sequence[Job], *, warming: Job | None = None) -> list[int]:
    """Do jobs, each in a process of its own, and return how each ended: its exit code, or the signal below zero.

    Args:
        jobs: what to do, as many at a time as there are processors.
        warming: a job that is done before all others, in the process that theirs are forks of; for many jobs.
    """
    ends: dict[int, int] = {}
    first = [warming.model_dump_json()] if warming else []
    with _started("chaos_server.py", str(AT_ONCE), *first) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdin.write("".join(job.model_dump_json() + "\n" for job in jobs))
        process.stdin.close()
        for line in process.stdout:
            number, status = line.split()
            ends[int(number)] = int(status)
        assert process.wait() == 0
    return [ends[number] for number in range(len(jobs))]


@contextmanager
def _started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_SUPPORT), *sys.path]), "ASSAY_LOG": "error"}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(_SUPPORT / program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def facts(job: Job) -> Facts:
    """Return the facts that a job wrote."""
    return Facts.model_validate_json(Path(job.out).read_bytes())


def log(job: Job) -> str:
    """Return the end of what the process of a job printed."""
    path = Path(job.out + ".log")
    return path.read_text()[-3000:] if path.exists() else ""
