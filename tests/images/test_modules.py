"""Packages of npm as a layer: read from a lock file as data, fetched by digest, unpacked without running anything."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.images.indexes import Index, served_index

from assay.errors import ConfigurationError, InfrastructureError
from assay.records.sandboxes import Image, SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Lock, dependency_image, dependency_tag
from assay.sandboxes.images.modules import Module, fetch_modules, find_registry, pack_modules, read_package_lock


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A registry that npm on this machine is set up for."""
    with served_index(tmp_path / "registry") as index:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", index.url.removesuffix("simple/"))
        yield index


def packed(files: dict[str, str], *, link: str | None = None) -> bytes:
    """Return a package as npm packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        if link is not None:
            entry = tarfile.TarInfo("package/link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return buffer.getvalue()


def publish(registry: Index, name: str, version: str, data: bytes) -> dict[str, Any]:
    """Put a package into the registry, and return its entry in a lock file."""
    folder = registry.folder / name / "-"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.rpartition('/')[2]}-{version}.tgz").write_bytes(data)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    return {"version": version, "resolved": f"https://elsewhere.example/{name}.tgz", "integrity": integrity}


def lock_of(packages: dict[str, Any], version: int = 3) -> str:
    """Return a lock file."""
    return json.dumps({"lockfileVersion": version, "packages": {"": {"name": "project"}, **packages}})


def fetch(folder: Path, modules: tuple[Module, ...]) -> bytes:
    """Fetch and pack modules, and return the tar file."""
    folder.mkdir()
    files = asyncio.run(fetch_modules(modules, folder, "package-lock.json", lambda line: None))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        pack_modules(modules, files, archive)
    return buffer.getvalue()


@pytest.mark.docker
async def test_a_layer_has_what_the_lock_file_pins(
    client: docker.DockerClient, engine: Engine, python_image: Image, places: BuildPlaces, registry: Index
) -> None:
    """Modules lie where Node finds them from the workspace, programs are on the path, and the record names all."""
    tool = packed({"bin/tool.sh": "#!/bin/sh\necho a tool\n", "index.js": "module.exports = 1\n"})
    entries = {
        "node_modules/@scope/tool": {**publish(registry, "@scope/tool", "1.2.3", tool), "bin": {"tool": "bin/tool.sh"}},
        "node_modules/@scope/tool/node_modules/inner": publish(registry, "inner", "2.0.0", packed({"a.js": "2\n"})),
    }
    base = await engine.call("inspect_image", python_image.id)
    lock = Lock("web/package-lock.json", lock_of(entries).encode())
    made = await dependency_image(engine, base, lock, places)
    tag = dependency_tag(base["Id"], lock)
    try:
        assert {"npm/@scope/tool 1.2.3", "npm/inner 2.0.0"} <= set(made.packages)
        async with (
            DockerProvider() as provider,
            await provider.open(SandboxProfile(image=tag), SandboxOwner(run="check-layer", role="check")) as box,
        ):
            said = await box.run(
                "tool; cat /node_modules/@scope/tool/index.js; find /node_modules -name '*.js'; echo x"
            )
        assert said.stdout.text.splitlines() == [
            "a tool",
            "module.exports = 1",
            *sorted(
                ["/node_modules/@scope/tool/index.js", "/node_modules/@scope/tool/node_modules/inner/a.js"],
                key=said.stdout.text.index,
            ),
            "x",
        ]
        assert not [asked for asked in registry.asked if "elsewhere" in asked]
    finally:
        for layer in client.images.list(filters={"label": f"dev.assay.supervisor.base={made.id}"}):
            client.images.remove(str(layer.id), force=True)
        client.images.remove(tag)


def test_what_is_for_other_machines_is_left_out(registry: Index) -> None:
    """Optional packages for other systems, and what lies in another's file."""
    entry = publish(registry, "a", "1.0.0", packed({}))
    found = read_package_lock(
        "package-lock.json",
        lock_of(
            {
                "node_modules/a": entry,
                "node_modules/mac": {**entry, "optional": True, "os": ["darwin"]},
                "node_modules/arm": {**entry, "optional": True, "cpu": ["arm64"]},
                "node_modules/x64": {**entry, "optional": True, "cpu": ["x64"], "os": ["!win32"], "libc": ["glibc"]},
                "node_modules/a/node_modules/b": {"inBundle": True},
                "node_modules/alias": {**entry, "name": "real"},
            }
        ),
        "amd64",
    )
    assert {module.place.removeprefix("node_modules/"): module.name for module in found} == {
        "a": "a",
        "alias": "real",
        "x64": "x64",
    }


ENTRY = {"version": "1.0.0", "integrity": f"sha512-{'A' * 86}=="}


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        ({"node_modules/a": {**ENTRY, "link": True, "resolved": "packages/a"}}, "packages/a"),
        ({"packages/a": {"version": "1.0.0"}}, "workspaces"),
        ({"node_modules/../../etc": ENTRY}, "workspaces"),
        ({"node_modules/a/../b": ENTRY}, "workspaces"),
        ({"node_modules/a": {"version": "1.0.0", "resolved": "git+ssh://x"}}, "git+ssh"),
        ({"node_modules/a": {**ENTRY, "integrity": "sha1-abc"}}, "SHA-512"),
        ({"node_modules/a": {**ENTRY, "version": "file:../x"}}, "SHA-512"),
        ({"node_modules/a": {**ENTRY, "name": "../../x"}}, "SHA-512"),
        ({"node_modules/a": 3}, "no lock file"),
    ],
)
def test_what_a_lock_file_may_not_say(packages: dict[str, Any], said: str) -> None:
    """It names packages of a registry by digest; nothing of the repository, of git, or outside of the tree."""
    with pytest.raises(ConfigurationError, match="the lock file p/package-lock") as caught:
        read_package_lock("p/package-lock.json", lock_of(packages), "amd64")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"lockfileVersion": 1, "dependencies": {}}', '{"lockfileVersion": 3}']
)
def test_what_is_no_lock_file_is_named(text: str) -> None:
    """Damaged, or older than npm 7."""
    with pytest.raises(ConfigurationError, match=r"package-lock\.json"):
        read_package_lock("package-lock.json", text, "amd64")


def test_another_digest_is_refused(tmp_path: Path, registry: Index) -> None:
    """The registry gives another file than the one that was locked."""
    entry = publish(registry, "a", "1.0.0", packed({"a.js": "1"}))
    modules = read_package_lock("package-lock.json", lock_of({"node_modules/a": entry}), "amd64")
    publish(registry, "a", "1.0.0", packed({"a.js": "2"}))
    with pytest.raises(ConfigurationError, match=r"is not the file that package-lock\.json pins"):
        fetch(tmp_path / "w", modules)
    with pytest.raises(InfrastructureError, match="could not be fetched"):
        fetch(tmp_path / "v", (modules[0].model_copy(update={"name": "absent"}),))


class Nonsense(BaseHTTPRequestHandler):
    """Answers with what is no HTTP."""

    def do_GET(self) -> None:
        self.wfile.write(b"nonsense\r\n\r\n")

    def log_message(self, *values: object) -> None:
        """Stay silent."""


def test_a_registry_that_speaks_no_http_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the registry's fault, and an error of assay's like every other way of not being reached."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}")
    modules = read_package_lock("package-lock.json", lock_of({"node_modules/a": ENTRY}), "amd64")
    try:
        with pytest.raises(InfrastructureError, match="could not be fetched"):
            fetch(tmp_path / "w", modules)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "data",
    [
        packed({"../../../etc/passwd": "x"}),
        packed({"/../../x": "x"}),
        packed({}, link="/etc"),
        b"not an archive",
        packed({"a.js": "1"})[:-20],
    ],
    ids=["above", "at the root", "link", "no archive", "cut"],  # the bytes hold the time
)
def test_a_package_that_reaches_out_is_refused(tmp_path: Path, registry: Index, data: bytes) -> None:
    """Links, paths that lead out, and what is no archive."""
    entry = publish(registry, "a", "1.0.0", data)
    modules = read_package_lock("package-lock.json", lock_of({"node_modules/a": entry}), "amd64")
    with pytest.raises(ConfigurationError, match=r"a 1\.0\.0"):
        fetch(tmp_path / "w", modules)


@pytest.mark.parametrize("programs", [{"../x": "a.js"}, {"x": "../../../bin/sh"}, {"x": "/bin/sh"}, {"..": "a.js"}])
def test_a_program_lies_in_its_package(tmp_path: Path, registry: Index, programs: dict[str, str]) -> None:
    """Neither its name nor its file leads out."""
    entry = {**publish(registry, "a", "1.0.0", packed({"a.js": "1"})), "bin": programs}
    modules = read_package_lock("package-lock.json", lock_of({"node_modules/a": entry}), "amd64")
    with pytest.raises(ConfigurationError, match="has the program"):
        fetch(tmp_path / "w", modules)


def test_the_registry_is_the_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From npm's variable or the user's file; none is built in."""
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / ".npmrc"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(settings))
    with pytest.raises(InfrastructureError, match="no registry"):
        find_registry()
    settings.write_text("color=false\nregistry = http://127.0.0.1:1/npm/\n")
    assert find_registry() == "http://127.0.0.1:1/npm"
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(InfrastructureError, match="file:///etc"):
        find_registry()
