"""What is known of a tree while commands come and go: a command that ends during a look may have changed it since."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from assay.records.sandboxes import SandboxProfile
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes import transfer
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.protocol import WORKSPACE
from assay.sandboxes.transfer import TreeTransfer

CONTENT = b"x"
LINE = b"f 644 1 5 5 7 x"
TREE = {"x": TreeFile(REGULAR, blob_id(CONTENT))}


class Supervisor:
    """Answers requests for files, and says which it was asked; a command may end before the answer is there."""

    def __init__(self) -> None:
        self.asked = ""
        self.files: list[bytes] = []
        self.before_answer: dict[str, Callable[[], None]] = {}

    async def ask(self, channel: object, payload: bytes, body: object = None, *, during: object = None) -> bytes:
        """Stand for `ask_for_files`."""
        what = chr(payload[0])
        self.asked += what
        if callable(during):
            with during():
                return self.answer(what)
        return self.answer(what)

    def answer(self, what: str) -> bytes:
        """Return what a supervisor says whose tree holds one file at most."""
        self.before_answer.pop(what, lambda: None)()
        match what:
            case "p":
                self.files = [LINE]
                return LINE + b"\0=\0"
            case "g":
                return LINE + b"\0" + CONTENT + LINE + b"\0=\0"
            case _:
                return b"".join(line + b"\0" for line in (b"*", *self.files, b"="))


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """A supervisor in the place of a sandbox's."""
    one = Supervisor()
    monkeypatch.setattr(transfer, "ask_for_files", one.ask)
    return one


def make_transfer() -> TreeTransfer:
    """Return the transfer of a sandbox whose channel nobody uses."""
    return TreeTransfer(None, SandboxProfile(image="python"))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", [False, True])
async def test_a_command_that_ends_during_a_look(supervisor: Supervisor, ending: bool) -> None:
    """The look after it is a new one; negative control: where nobody was at work, nothing is asked any more."""
    trees = make_transfer()
    supervisor.files = [LINE]
    with trees.disturbed():
        pass
    command = ExitStack()
    if ending:
        command.enter_context(trees.disturbed())
        supervisor.before_answer["l"] = command.close
    assert (await trees.take(WORKSPACE)).tree == TREE
    supervisor.asked = ""
    assert (await trees.take(WORKSPACE)).tree == TREE
    assert ("l" in supervisor.asked) is ending


@pytest.mark.parametrize("ending", [False, True])
async def test_a_command_that_comes_and_goes_during_a_put(supervisor: Supervisor, ending: bool) -> None:
    """What was put is looked at again after it; negative control: where nobody was at work, it is not."""
    trees, blobs = make_transfer(), Blobs()

    def come_and_go() -> None:
        with trees.disturbed():
            pass

    if ending:
        supervisor.before_answer["p"] = come_and_go
    await trees.put({"x": blobs.file(CONTENT)}, blobs, WORKSPACE)
    supervisor.asked = ""
    assert (await trees.take(WORKSPACE)).tree == TREE
    assert ("l" in supervisor.asked) is ending
