"""The provider is told of as many sandboxes of each kind as will be opened, and of none when a proof is over."""

from __future__ import annotations

from collections import Counter

import pytest

from assay.evidence.promises import Promises
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.fake import FakeSandboxProvider
from assay.sandboxes.protocol import Filling


class Told(FakeSandboxProvider):
    """A provider that counts what it is told, by the machine's name."""

    def __init__(self) -> None:
        super().__init__()
        self.coming: Counter[str] = Counter()

    def prepare(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        self.coming[profile.hostname] += count


@pytest.fixture
def told() -> Told:
    """A provider that nobody told anything yet."""
    return Told()


USUAL, OTHER = SandboxProfile(), SandboxProfile(hostname="host-1")


def test_each_kind_is_counted_by_itself(told: Told) -> None:
    """Those in surroundings of their own are no use to others: they are promised as what they are."""
    promises = Promises(told)
    promises.promise(USUAL, 2)
    promises.promise(USUAL, 1)
    with promises.waiting(OTHER), promises.waiting(OTHER), promises.waiting(USUAL):
        assert told.coming == {"sandbox": 2, "host-1": 2}
    promises.keep(OTHER)
    with promises.waiting(OTHER):
        assert told.coming == {"sandbox": 2, "host-1": 2}, "one was opened, and one is still promised"


def test_what_was_not_opened_is_taken_back(told: Told) -> None:
    """Twice makes no difference, and neither does what was opened without a promise."""
    promises = Promises(told)
    promises.keep(USUAL)
    promises.promise(USUAL, 3)
    promises.promise(OTHER, 1)
    promises.keep(USUAL)
    promises.take_back()
    promises.take_back()
    assert told.coming == {"sandbox": 1, "host-1": 0}
