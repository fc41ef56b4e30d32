"""What an engine answers becomes an error that names the next step."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker.api.client import APIClient
from docker.context import Context

from assay.errors import AssayError, DiskFull, EngineUnavailable, ImageMissing, InfrastructureError, SandboxLost
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine, connect


class Answer:
    """What the engine of the test answers to everything."""

    status = 200
    message = ""


@pytest.fixture
def answer() -> Answer:
    return Answer()


@pytest.fixture
def engine(answer: Answer) -> Iterator[Engine]:
    """An engine behind a server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = json.dumps({"message": answer.message}).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_values: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Engine(lambda: APIClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41"))
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "message", "kind", "step"),
    [
        (500, "mkdir /var/lib/docker/x: no space left on device", DiskFull, "assay prune"),
        (404, "No such container: x", SandboxLost, None),
        (404, "No such image: x", ImageMissing, None),
        (500, "something else", InfrastructureError, "assay doctor"),
        (409, "conflict", InfrastructureError, "assay doctor"),
    ],
)
async def test_refusals_are_told_apart(
    engine: Engine, answer: Answer, status: int, message: str, kind: type[AssayError], step: str | None
) -> None:
    """The engine's words are in the error, and its kind and next step fit."""
    answer.status, answer.message = status, message
    with pytest.raises(kind, match=message) as raised:
        await engine.call("inspect_container", "x")
    assert type(raised.value) is kind
    assert raised.value.next_step == step
    await engine.close()


async def test_ignored_statuses_are_success(engine: Engine, answer: Answer) -> None:
    """What is gone already has been removed."""
    answer.status, answer.message = 409, "removal of container x is already in progress"
    assert await engine.call("remove_container", "x", ignore=(404, 409)) is None
    with pytest.raises(InfrastructureError):
        await engine.call("remove_container", "x", ignore=(404,))
    await engine.close()


async def test_full_disk_while_opening(engine: Engine, answer: Answer) -> None:
    """An engine without space is DiskFull, not a missing image."""
    answer.status, answer.message = 500, "write /var/lib/docker: no space left on device"
    async with DockerProvider(engine) as provider:
        with pytest.raises(DiskFull, match="no space left on device"):
            await provider.image(SandboxProfile())


async def test_nobody_listens() -> None:
    """An engine that refuses connections is unavailable."""
    engine = Engine(lambda: APIClient(base_url="tcp://127.0.0.1:1", version="1.41", timeout=5))
    with pytest.raises(EngineUnavailable, match="No Docker engine answers") as raised:
        await engine.call("version")
    assert raised.value.next_step == "assay doctor"
    await engine.close()


async def test_senseless_engine_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DOCKER_HOST that cannot be one is an unavailable engine, too."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/at/all.sock")
    engine = Engine()
    with pytest.raises(EngineUnavailable):
        await engine.call("version")
    await engine.close()


def test_the_current_context_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DOCKER_HOST the engine is that of docker's current context."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "elsewhere"}))
    Context("elsewhere", host=f"unix://{tmp_path}/elsewhere.sock").save()
    with pytest.raises(FileNotFoundError):  # it went to the context's socket, which is not there
        connect()
