"""Containers in which foreign code is tried: bounded in time and output, gone afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import threading
import time

import docker
import pytest

from assay.errors import InfrastructureError
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.build import _probe
from assay.sandboxes.images.workbench import ask_image, run_workbench, workbench
from assay.sandboxes.owners import LABEL

pytestmark = pytest.mark.docker

LENGTH = 20_000_000
"""Bytes that a command prints, more than anybody keeps of them."""


class Counting(Engine):
    """Knows which calls are under way in its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[str] = []
        self.ended = threading.Condition()

    def send(self, method: str, values: tuple[object, ...], named: dict[str, object]) -> object:
        with self.ended:
            self.under_way.append(method)
        try:
            return super().send(method, values, named)
        finally:
            with self.ended:
                self.under_way.remove(method)
                self.ended.notify_all()


async def test_a_command_that_does_not_end_is_ended(client: docker.DockerClient, python_image: Image) -> None:
    """After its time there is an error, no container, and no thread that still waits for it."""
    engine = Counting()
    began = time.monotonic()
    with pytest.raises(InfrastructureError, match="longer than 1 s"):
        async with workbench(engine, python_image.id, ["sleep", "1000"]) as container:
            await run_workbench(engine, container, seconds=1)
    assert container not in {one["Id"] for one in client.api.containers(all=True)}
    with engine.ended:
        assert engine.ended.wait_for(lambda: not engine.under_way, timeout=10)
    await engine.close()
    assert time.monotonic() - began < 30


async def test_what_a_command_prints_is_bounded(engine: Engine, python_image: Image) -> None:
    """The engine keeps the last of it, whatever its length: neither its disk nor this process's memory is filled."""
    command = ["sh", "-c", f"yes {'x' * 999} | head -c {LENGTH}; echo the end"]
    async with workbench(engine, python_image.id, command) as container:
        code, said = await run_workbench(engine, container)
    assert (code, said.splitlines()[-1]) == (0, "the end")
    assert 1_000_000 < len(said) < 9_000_000


async def test_an_image_is_asked_without_a_place_to_write(engine: Engine, python_image: Image) -> None:
    """Neither its root nor `/tmp` takes a file, though that user might write there."""
    said = await ask_image(engine, python_image.id, ["sh", "-c", "touch /tmp/x 2>&1 || id -u"])
    assert "Read-only file system" in said
    assert said.split()[-1] == "65534"


async def test_the_tools_are_tried_as_carefully(engine: Engine, python_image: Image) -> None:
    """No capability, a label by which it is removed when its owner died, no entry of the engine's in /etc/hosts."""
    tools = (
        "grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status | tr ':\\t' '=='; ! grep -q \"$(hostname)\" /etc/hosts; sleep 1"
    )
    seen: list[dict[str, str]] = []

    async def look() -> None:
        while not seen:
            seen.extend(
                one["Labels"]
                for one in await engine.call("containers", filters={"label": [LABEL, "dev.assay.role=image"]})
            )

    said, _ = await asyncio.wait_for(asyncio.gather(_probe(engine, python_image.id, tools), look()), 60)
    assert said == (f"CapBnd=={'0' * 16}", f"CapEff=={'0' * 16}", "NoNewPrivs==1")
