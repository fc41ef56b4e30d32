"""The whole life of a sandbox, ours and the peers': each peer in an environment and a process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from benchmarks.sandbox_measures.commands import OWNER
from benchmarks.sandbox_measures.tables import Table, milliseconds, ratio

from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.supervised import SupervisedSandbox

SCRIPTS = Path(__file__).resolve().parent.parent / "sandbox_peers"
NETWORK = f"assay-benchmark-{os.getpid()}"
"""Its ports are bound to loopback only: SWE-ReX publishes the one of its server."""
EIGHT = 8
_SECONDS = 300.0
_SERVER = "/opt/peer"


@dataclass(frozen=True)
class Script:
    """A peer: its script, where its packages come from, and what the script is told."""

    name: str
    file: str
    packages: tuple[str, ...] = ()
    """None: it runs in this environment."""
    environment: str = ""
    told: tuple[str, ...] = ()
    serves_inside: bool = False
    """Whether it needs its own packages in the image."""


SWEREX = ("swe-rex==1.4.0", "aiohttp")
"""It imports aiohttp without asking for it."""
PEERS = (
    Script("docker-py exec", "docker_exec.py", told=("client",)),
    Script("docker exec (command line)", "docker_exec.py", told=("command",)),
    Script("mini-swe-agent", "mini.py", ("mini-swe-agent==2.4.6",), "mini"),
    Script("SWE-ReX one-shot", "swerex_server.py", SWEREX, "swerex", (NETWORK, "one-shot"), serves_inside=True),
    Script("SWE-ReX session", "swerex_server.py", SWEREX, "swerex", (NETWORK, "session"), serves_inside=True),
    Script("Inspect", "inspect_docker.py", ("inspect-ai==0.3.285",), "inspect"),
    Script("autogen-ext", "autogen.py", ("autogen-ext[docker]==0.7.5",), "autogen"),
    Script("LangChain shell middleware", "langchain_shell.py", ("langchain==1.4.7",), "langchain"),
)


def install(cache: Path) -> None:
    """Make the peers' environments with pip; say which could not be made."""
    for environment, packages in {peer.environment: peer.packages for peer in PEERS if peer.packages}.items():
        venv.create(cache / environment, with_pip=True)
        pip = [str(cache / environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        print(f"{environment}: {'installed' if done.returncode == 0 else done.stderr.strip()[-300:]}", flush=True)


class Ours:
    """assay's own sandbox, in the steps of a peer."""

    def __init__(self, provider: DockerProvider, profile: SandboxProfile) -> None:
        self._provider = provider
        self._profile = profile
        self._sandbox: SupervisedSandbox | None = None

    async def start(self) -> None:
        self._sandbox = await self._provider.open(self._profile, OWNER)

    async def run(self, script: str) -> str:
        if self._sandbox is None:
            raise RuntimeError("it is not started")
        return (await self._sandbox.run(["true"] if script == "true" else script)).stdout.text

    async def close(self) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()


class Floor:
    """The host itself."""

    async def start(self) -> None:
        """Nothing is to be started."""

    async def run(self, script: str) -> str:
        argv = ["true"] if script == "true" else ["/bin/sh", "-c", script]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    async def close(self) -> None:
        """Nothing is left."""


def _steps() -> Any:
    """The module of the peers' steps, which is no package: the peers run it without this project."""
    specification = importlib.util.spec_from_file_location("measuring", SCRIPTS / "measuring.py")
    if specification is None or specification.loader is None:
        raise RuntimeError("the peers' steps are not there")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@contextmanager
def _image_with(image: str, packages: Path) -> Iterator[str]:
    """An image with a peer's packages in it, and the command that starts its server, for as long as it is needed."""
    client = docker.from_env().api
    made = client.create_container(image, ["-"])["Id"]
    try:
        start = b'#!/bin/sh\nPYTHONPATH=%s exec python3 -m swerex.server "$@"\n' % _SERVER.encode()
        client.put_archive(made, "/", _pack({f"{_SERVER}": packages}, {"usr/local/bin/swerex-remote": start}))
        committed = client.commit(made, conf={"User": ""})["Id"]
        loopback = {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
        network = client.create_network(NETWORK, "bridge", options=loopback)["Id"]
        try:
            yield committed
        finally:
            client.remove_network(network)
            client.remove_image(committed, force=True)
    finally:
        client.remove_container(made, force=True)
        client.close()


def _pack(folders: dict[str, Path], files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, folder in folders.items():
            archive.add(folder, name.lstrip("/"))
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _has_compose() -> bool:
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


async def _run_peer(peer: Script, image: str, cache: Path, rounds: int) -> dict[str, Any] | str:
    """Return what a peer measured, or why it could not."""
    python = cache / peer.environment / "bin" / "python" if peer.packages else Path(sys.executable)
    if not python.exists():
        return "not installed: run with --install-peers"
    told = peer.told or (("compose" if _has_compose() else "stand-in",) if peer.name == "Inspect" else ())
    argv = [str(python), str(SCRIPTS / peer.file), image, str(rounds), *told]
    try:
        done = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {_SECONDS:g} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200].replace("|", "/")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


async def measure(image: str, cache: Path, *, rounds: int) -> list[Table]:
    """Return the table of lives, and the one of cold starts."""
    table = Table(
        f"The life of a sandbox, medians of {rounds} rounds",
        ["", "version", "cold start to first output, s", "`true`, ms", "100 commands, s", "gone after close, s"],
    )
    steps, profile = _steps(), SandboxProfile(image=image)
    rows: dict[str, list[dict[str, float]]] = {"the host (floor)": [], "assay": [], "assay, prepared": []}
    failed: dict[str, str] = {}
    versions: dict[str, str] = {}
    server = cache / "swerex" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    with _image_with(image, server if server.exists() else SCRIPTS) as inside:
        async with DockerProvider() as provider:
            await Ours(provider, profile).start()
            for _ in range(rounds):
                rows["the host (floor)"].append(await steps.time_round(Floor))
                rows["assay"].append(await steps.time_round(lambda: Ours(provider, profile)))
                await _prepare(provider, profile)
                rows["assay, prepared"].append(await steps.time_round(lambda: Ours(provider, profile)))
                for peer in PEERS:
                    measured = await _run_peer(peer, inside if peer.serves_inside else image, cache, 1)
                    if isinstance(measured, str):
                        failed[peer.name] = measured
                        continue
                    rows.setdefault(peer.name, []).extend(measured["rounds"])
                    versions[peer.name] = measured["version"]
                    table.notes = [note for note in table.notes if not note.startswith(f"- {peer.name}: ")]
                    table.notes.append(f"- {peer.name}: {measured['configuration']}.")
    for name, lives in rows.items():
        cells = [statistics.median(life[step] for life in lives) for step in ("cold", "true", "hundred", "gone")]
        shown = f"{cells[0]:.2f}", f"{cells[1] * 1e3:.2f}", f"{cells[2]:.2f}", f"{cells[3]:.2f}"
        table.add(name, versions.get(name, ""), *(("-", *shown[1:3], "-") if name.startswith("the host") else shown))
    for name, reason in failed.items():
        table.add(name, "", f"could not be measured: {reason}", "", "", "")
    return [table, await _goals(rows, profile, rounds)]


async def _prepare(provider: DockerProvider, profile: SandboxProfile) -> None:
    """Have one sandbox ready, and the machine quiet again."""
    provider.prepare(profile, 1)
    await asyncio.sleep(1.0)


async def _goals(rows: dict[str, list[dict[str, float]]], profile: SandboxProfile, rounds: int) -> Table:
    table = Table("Starting and ending, to raw docker-py in the same run", ["", ""])
    ours, raw, warm = rows["assay"], rows["docker-py exec"], rows["assay, prepared"]
    cold = ratio([life["cold"] for life in ours], [life["cold"] for life in raw])
    gone = ratio([life["gone"] for life in ours], [life["gone"] for life in raw])
    table.add("cold start to first output", table.goal(cold, 0.9, "times"))
    table.add("first output of a prepared one", table.goal(milliseconds([life["cold"] for life in warm]), 20, "ms"))
    table.add("gone after close", table.goal(gone, 1.0, "times"))
    ratios = []
    async with DockerProvider() as provider:

        async def one() -> None:
            async with await provider.open(profile, OWNER) as sandbox:
                await sandbox.run(["true"])

        await one()
        for _ in range(rounds):
            began = time.perf_counter()
            for _ in range(EIGHT):
                await one()
            between = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(EIGHT)))
            ratios.append((time.perf_counter() - between) / (between - began))
    table.add("eight at once, to eight in sequence", table.goal(statistics.median(ratios), 0.6, "times"))
    return table
