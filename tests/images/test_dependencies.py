"""A project's dependencies as a layer: fetched as wheels from an index, installed without network, found again."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.images.indexes import Index, served_index

from assay.errors import ConfigurationError, ImageMissing, InfrastructureError
from assay.records.sandboxes import Image, SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Lock, dependency_image, dependency_tag, load_recipe, prune_images
from assay.sandboxes.images.archives import loads_itself
from assay.sandboxes.images.locks import Pin
from assay.sandboxes.images.recipes import NAMES
from assay.sandboxes.images.wheels import Interpreter, Wheel, fetch_wheels
from assay.sandboxes.images.workbench import run_workbench, workbench

SHIPPED = tuple(load_recipe(name) for name in NAMES)
GREETING = "def greet():\n    return 'hello from a dependency'\n\ndef main():\n    print(greet())\n"
INTERPRETER = Interpreter(
    version="3.11",
    implementation="cp",
    machine="x86_64",
    glibc="2.36",
    markers={"python_version": "3.11", "sys_platform": "linux"},
    installed={"pytest": "7.2.1"},
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip on this machine is set up for."""
    with served_index(tmp_path / "index") as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield index


def fetch(folder: Path, *pins: Pin) -> tuple[Wheel, ...]:
    """Fetch what a lock file pins."""
    folder.mkdir()
    return asyncio.run(fetch_wheels(pins, INTERPRETER, folder, "uv.lock", lambda line: None))


@pytest.mark.docker
async def test_a_layer_has_what_the_lock_file_pins(
    client: docker.DockerClient, engine: Engine, python_image: Image, places: BuildPlaces, index: Index
) -> None:
    """Installed once, found again without a step, used in a sandbox, named in the image's record, pruned when old."""
    digest = index.add_wheel("greeting", "1.2.0", {"greeting.py": GREETING}, programs=("greet",))
    lock = Lock("requirements.lock", f"greeting==1.2.0 --hash={digest}\n".encode())
    base = await engine.call("inspect_image", python_image.id)
    said: list[str] = []
    made = await dependency_image(engine, base, lock, places, said.append)
    tag = dependency_tag(base["Id"], lock)
    try:
        assert any("without network" in line for line in said)
        again: list[str] = []
        assert await dependency_image(engine, base, lock, places, again.append) == made
        assert again == []
        assert made.name == "python"
        assert made.lock == lock.digest
        assert "pypi/greeting 1.2.0" in made.packages
        assert set(python_image.packages) < set(made.packages)
        async with (
            DockerProvider() as provider,
            await provider.open(SandboxProfile(image=tag), SandboxOwner(run="check-layer", role="check")) as box,
        ):
            result = await box.run("python3 -I -c 'import greeting; print(greeting.greet())' && greet && ls -A / /tmp")
        assert result.stdout.text.count("hello from a dependency") == 2
        assert ".assay-install" not in result.stdout.text
        labels = client.images.get(tag).labels
        assert labels["dev.assay.sandbox"] == "", "a container of this image would count as a dead process's"
        configuration = client.images.get(tag).attrs["Config"]
        assert (configuration["User"], configuration["Cmd"]) == ("", ["/bin/sh"])
        assert made.id not in await prune_images(engine, SHIPPED, places, unused_days=1, dry=True)
    finally:
        gone = await prune_images(engine, SHIPPED, places, unused_days=-1, dry=True)
        for layer in client.images.list(filters={"label": f"dev.assay.supervisor.base={made.id}"}):
            client.images.remove(str(layer.id), force=True)
        client.images.remove(tag)
    assert made.id in gone
    assert made.loaded == ()


@pytest.mark.docker
async def test_an_image_without_python_is_named(
    client: docker.DockerClient, engine: Engine, minimal_archive: Path, places: BuildPlaces, index: Index
) -> None:
    """What the layer stands on must be able to use it."""
    client.api.import_image_from_file(str(minimal_archive), repository="assay-test-bare", tag="1")
    base = await engine.call("inspect_image", "assay-test-bare:1")
    try:
        with pytest.raises(ImageMissing, match="python3"):
            await dependency_image(engine, base, Lock("r.txt", b"greeting==1\n"), places)
    finally:
        client.images.remove("assay-test-bare:1")
    assert index.asked == []


@pytest.mark.docker
async def test_installing_has_neither_network_nor_privilege(engine: Engine, python_image: Image) -> None:
    """Root in the container can write to it, and that is all."""
    script = "id -u; tail -n +3 /proc/net/dev | cut -d: -f1; grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status"
    async with workbench(engine, python_image.id, ["sh", "-c", script], user="0:0") as container:
        code, said = await run_workbench(engine, container)
    assert code == 0
    assert said.split() == ["0", "lo", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


def test_wheels_are_fetched_by_digest(tmp_path: Path, index: Index) -> None:
    """The file whose digest is locked, and no other of the same version; also one for an older C library."""
    index.add_wheel("one", "1.0", {"one.py": "x = 'wrong'\n"}, tag="py2.py3-none-any")
    right = index.add_wheel("one", "1.0", {"one.py": "x = 'right'\n"})
    old = index.add_wheel("two", "1.0", {}, tag="cp311-cp311-manylinux_2_17_x86_64")
    pins = (Pin(name="one", version="1.0", hashes=(right,)), Pin(name="two", version="1.0", hashes=(old,)))
    wheels = fetch(tmp_path / "w", *pins)
    assert [f"sha256:{wheel.sha256}" for wheel in wheels] == [right, old]


def test_what_loads_itself_is_told(tmp_path: Path, index: Index) -> None:
    """What Python reads at its start, or pytest, without being asked; what only looks like it is not."""
    early: dict[str, dict[str, str]] = {
        "one": {"one.pth": "import one\n"},
        "two": {"two-1.0.data/purelib/two.pth": "import two\n"},
        "three": {"three-1.0.data/data/lib/three.pth": "import three\n"},
        "four": {"sitecustomize.py": "", "four-1.0.data/headers/x.h": ""},
        "five": {"_pytest/python.py": ""},
        "six": {"pluggy.cpython-311-x86_64-linux-gnu.so": ""},
        "seven": {"seven.dist-info/entry_points.txt": "[ pytest11 ]\nseven = seven\n"},
    }
    early["nine"] = {"nine-1.0.data/data/lib/python3/site-packages/_pytest/x.py": ""}
    late = {"eight": {"eight/weights.pth": "", "eight/sitecustomize.py": "", "eight-1.0.data/scripts/pytest": ""}}
    for name, files in {**early, **late}.items():
        index.add_wheel(name, "1.0", files)
    index.folder.joinpath("simple/seven/seven-1.0-py3-none-any.whl").unlink()
    path = index.folder / "simple/seven/seven-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in early["seven"].items():
            archive.writestr(place, text)
    found = {name: loads_itself(next((index.folder / "simple" / name).iterdir())) for name in (*early, *late)}
    assert [name for name, loaded in found.items() if loaded] == list(early)


def test_another_digest_is_refused(tmp_path: Path, index: Index) -> None:
    """The index, or somebody on the way, gives another file than the one that was locked."""
    index.add_wheel("one", "1.0", {"one.py": "x = 1\n"})
    with pytest.raises(ConfigurationError, match=r"is not the one that uv\.lock pins") as caught:
        fetch(tmp_path / "w", Pin(name="one", version="1.0", hashes=(f"sha256:{'0' * 64}",)))
    assert "sha256:000" in str(caught.value).replace(" ", "") or "0" * 64 in str(caught.value)


def test_a_source_distribution_is_refused(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building it would execute it here, whatever pip is set up for; that there is no wheel is said otherwise."""
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    digest = index.add_source("one", "1.0")
    with pytest.raises(ConfigurationError, match="its source only"):
        fetch(tmp_path / "a", Pin(name="one", version="1.0", hashes=(digest,)))
    digest = index.add_wheel("two", "1.0", {}, tag="cp39-cp39-win_amd64")
    with pytest.raises(ConfigurationError, match=r"no wheel of that version for Python 3\.11 on x86_64"):
        fetch(tmp_path / "b", Pin(name="two", version="1.0", hashes=(digest,)))
    assert not list(tmp_path.glob("*/wheels/*"))


def test_what_cannot_be_installed_together_is_named(tmp_path: Path, index: Index) -> None:
    """A dependency that nobody pinned, and a program that would stand before one that the proof starts."""
    needs = ("missing>=2", "pytest>=7", "other; sys_platform == 'win32'", "more; extra == 'fast'")
    pins = [
        Pin(name=name, version="1.0", hashes=(digest,))
        for name, digest in (
            ("one", index.add_wheel("one", "1.0", {}, requires=needs)),
            ("two", index.add_wheel("two", "1.0", {}, programs=("python3",))),
            ("three", index.add_wheel("three", "1.0", {"three-1.0.data/scripts/git": "#!/bin/sh\n"})),
        )
    ]
    with pytest.raises(ConfigurationError) as caught:
        fetch(tmp_path / "w", *pins)
    assert caught.value.message.splitlines()[1:] == [
        "three 1.0 brings a program 'git', which would stand before the image's own",
        "two 1.0 brings a program 'python3', which would stand before the image's own",
        "one 1.0 needs missing>=2, and there is none",
    ]


def test_no_index_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing answers is not the lock file's fault."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple/")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(InfrastructureError, match="could not be fetched") as caught:
        fetch(tmp_path / "w", Pin(name="one", version="1.0"))
    assert "PIP_INDEX_URL" in str(caught.value.next_step)
