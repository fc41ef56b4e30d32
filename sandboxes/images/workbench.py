"""Containers in which images are tried and made: no network, no capability, gone when their work is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from assay.errors import InfrastructureError
from assay.records.sandboxes import SandboxOwner
from assay.sandboxes.engine import Engine, undone_if_cancelled
from assay.sandboxes.owners import OwnerProcess, make_labels

_LIFETIME: Final = 3600.0
"""Seconds after which such a container counts as left over."""
_LONGEST: Final = 1800.0
"""Seconds that a command may take."""
_MEMORY: Final = 2 << 30
_OUTPUT: Final = {"Type": "json-file", "Config": {"max-size": "4m", "max-file": "2"}}
"""What the engine keeps of what a command prints: between the last 4 MB and twice that, as it writes them down."""
_NOBODY: Final = "65534:65534"


@asynccontextmanager
async def workbench(
    engine: Engine,
    image: str,
    command: Sequence[str],
    *,
    user: str = _NOBODY,
    read_only: bool = False,
    bare_network: bool = False,
) -> AsyncIterator[str]:
    """Yield a container that was made and not started; remove it at the end.

    It has no network, no capability and no way to gain one, also as root.

    Args:
        engine: which shall hold it.
        image: what it is made from.
        command: what `run_workbench` starts.
        user: "0:0" for root, "" for the image's own.
        read_only: whether nothing in it can be written.
        bare_network: whether the engine writes no `/etc/hosts` either, so that the image's own is seen.
    """
    mine = make_labels(SandboxOwner(run="image", role="image"), OwnerProcess.current(), lifetime=_LIFETIME)
    options = await engine.call(
        "create_host_config",
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=_MEMORY,
        memswap_limit=_MEMORY,
        pids_limit=256,
        read_only=read_only,
        log_config=_OUTPUT,
    )

    async def make() -> str:
        made = await engine.call(
            "create_container",
            image,
            list(command),
            entrypoint=[],
            user=user,
            working_dir="/",
            host_config=options,
            network_disabled=bare_network,
            labels=mine,
        )
        return str(made["Id"])

    async def remove(container: str) -> None:
        await engine.call("remove_container", container, force=True, v=True, ignore=(404, 409))

    container = await undone_if_cancelled(make(), remove)
    try:
        yield container
    finally:
        await asyncio.shield(remove(container))


async def put_archive(engine: Engine, container: str, archive: Path) -> None:
    """Unpack a tar file at the root of a container."""
    with archive.open("rb") as file:
        await engine.call("put_archive", container, "/", file)


async def run_workbench(engine: Engine, container: str, *, seconds: float = _LONGEST) -> tuple[int, str]:
    """Start a container's command, wait for its end, and return its exit code and what it said last.

    Raises InfrastructureError where it takes longer; it is killed then.
    """
    await engine.call("start", container)
    try:
        async with asyncio.timeout(seconds):
            code = int((await engine.call("wait", container))["StatusCode"])
    except TimeoutError as error:
        # With it ends the call that still waits in its thread.
        await engine.call("kill", container, ignore=(404, 409))
        raise InfrastructureError(f"a command in a container of an image took longer than {seconds:g} s") from error
    said: bytes = await engine.call("logs", container, stdout=True, stderr=True)
    return code, said.decode(errors="backslashreplace")


async def ask_image(engine: Engine, image: str, command: Sequence[str]) -> str:
    """Return what an unprivileged command says in a fresh container; raises InfrastructureError where it fails."""
    async with workbench(engine, image, command, read_only=True) as container:
        code, said = await run_workbench(engine, container)
    if code != 0:
        raise InfrastructureError(f"{command[0]} ended with {code} in the image {image}:\n{said[-2000:]}")
    return said
