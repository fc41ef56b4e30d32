"""Whose a container is, and when it is nobody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.records.sandboxes import SandboxOwner
from assay.sandboxes.owners import LABEL, OwnerProcess, is_left_over, make_labels

OWNER = SandboxOwner(run="run-1", role="coder", step="unit a")


def test_labels_say_whose_it_is() -> None:
    """A person who looks at the containers sees run, role and step."""
    labels = make_labels(OWNER, OwnerProcess.current(), lifetime=60)
    assert labels["dev.assay.run"] == "run-1"
    assert labels["dev.assay.role"] == "coder"
    assert labels["dev.assay.step"] == "unit a"
    assert labels["dev.assay.owner.pid"] == str(os.getpid())


def test_the_living_keep_theirs() -> None:
    """What a living process owns is not left over."""
    mine = OwnerProcess.current()
    assert mine.started > 0
    assert not is_left_over(make_labels(OWNER, mine, lifetime=60), mine)


def test_time_ends_everything() -> None:
    """Past its time a container is left over, whoever owns it."""
    mine = OwnerProcess.current()
    assert is_left_over(make_labels(OWNER, mine, lifetime=-1), mine)
    assert is_left_over(make_labels(OWNER, OwnerProcess("elsewhere", "x", 1, 1), lifetime=-1), mine)


def test_the_dead_own_nothing() -> None:
    """A process that has ended, one that has the number of an ended one, and one from before a boot are dead."""
    mine = OwnerProcess.current()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    for dead in (
        OwnerProcess(mine.host, mine.boot, child.pid, 1),
        OwnerProcess(mine.host, mine.boot, mine.pid, mine.started - 1),
        OwnerProcess(mine.host, "another boot", mine.pid, mine.started),
    ):
        assert dead.is_dead(mine)
        assert is_left_over(make_labels(OWNER, dead, lifetime=60), mine)


def test_a_zombie_is_dead() -> None:
    """A process that has ended and is not yet waited for owns nothing."""
    mine = OwnerProcess.current()
    child = subprocess.Popen(["sleep", "60"])
    started = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
    owner = OwnerProcess(mine.host, mine.boot, child.pid, started)
    assert not owner.is_dead(mine)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_dead(mine)
    child.wait()


def test_other_hosts_are_not_judged() -> None:
    """Of a process on another host, or in another space of numbers, nothing is known."""
    mine = OwnerProcess.current()
    assert not OwnerProcess("another host", mine.boot, 1, 1).is_dead(mine)


@pytest.mark.parametrize("missing", ["dev.assay.owner.pid", "dev.assay.expires", LABEL])
def test_strangers_are_left_alone(missing: str) -> None:
    """A container without all of the labels is not ours to remove."""
    mine = OwnerProcess.current()
    labels = make_labels(OWNER, mine, lifetime=-1)
    del labels[missing]
    assert not is_left_over(labels, mine)
