"""Programs that are started by name stay the image's own, whatever a wheel brings and however it hides that."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.images.indexes import Index, served_index

from assay.errors import ConfigurationError
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Lock, dependency_image, dependency_tag, wheels
from assay.sandboxes.images.archives import Unclear, programs_in, read_metadata
from assay.sandboxes.images.programs import refuse_replaced
from assay.sandboxes.images.workbench import ask_image, run_workbench, workbench


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip on this machine is set up for."""
    with served_index(tmp_path / "index") as index:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        yield index


def write_archive(folder: Path, *files: tuple[str, str]) -> Path:
    """Write a zip file as nobody's tools would: names as they are, also twice."""
    path = folder / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    "file",
    [
        ("x-1.data/scripts/git", ""),
        ("x-1.data/scripts/./git", ""),
        ("x-1.data/data/bin/git", ""),
        ("x-1.data/data//bin/git", ""),
        ("x-1.data/data/sbin/git", ""),
        ("x-1.data/data/lib/../bin/git", ""),
        ("x-1.dist-info/entry_points.txt", "[console_scripts]\ngit = x:y\n"),
        ("x-1.dist-info//entry_points.txt", "[gui_scripts]\ngit = x:y\n"),
        ("x-1.dist-info/entry_points.txt", "[console_scripts]\nfirst = x:y\n  git = x:y\n"),
        ("x-1.dist-info/entry_points.txt", "[console_scripts] ; pip for old Pythons\ngit = x:y\n"),
        ("x-1.dist-info/entry_points.txt", "[console_scripts]\n./git = x:y\n"),
    ],
)
def test_a_program_is_found_however_it_is_written(tmp_path: Path, file: tuple[str, str]) -> None:
    """What any pip would make of it counts."""
    assert "git" in programs_in(write_archive(tmp_path, file, ("x.py", "")))


def test_what_is_no_program_is_none(tmp_path: Path) -> None:
    """A module, a package, a plug-in's name, a document."""
    entries = ("x-1.dist-info/entry_points.txt", "[plugins]\ngit = x:y\n\n[console_scripts]\nx = x:y\n")
    files = ("git/__init__.py", "sh.py", "x/bin/git", "x-1.data/data/share/git", "x-1.data/purelib/sh.py")
    assert programs_in(write_archive(tmp_path, entries, *((name, "") for name in files))) == {"x"}


def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    """Two files of a name, one that is too long, one that is no entry points at all."""
    entries = "x-1.dist-info/entry_points.txt"
    for other in (entries, "./x-1.dist-info//entry_points.txt"):
        with warnings.catch_warnings(action="ignore"):  # the writer's, of a name that is there
            wheel = write_archive(tmp_path, (entries, ""), (other, "[console_scripts]\ngit = x:y\n"))
        with pytest.raises(ConfigurationError, match=r"holds 2 files entry_points\.txt"):
            programs_in(wheel)
    with pytest.raises(ConfigurationError, match=r"entry_points\.txt in x-1-py3-none-any\.whl is 10000019 bytes long"):
        programs_in(write_archive(tmp_path, (entries, "#" * 10_000_000 + "\n[console_scripts]\n")))
    with pytest.raises(Unclear):
        programs_in(write_archive(tmp_path, (entries, "git = x:y\n")))
    with pytest.raises(ConfigurationError, match="METADATA"):
        read_metadata(write_archive(tmp_path, ("x-1.dist-info/METADATA", " " * 10_000_001)), "METADATA")


@pytest.mark.docker
async def test_what_was_installed_counts_and_not_what_was_foreseen(
    client: docker.DockerClient,
    engine: Engine,
    python_image: Image,
    places: BuildPlaces,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the early look blind, pip installs them, the engine says so, and there is no layer."""
    monkeypatch.setattr(wheels, "PROTECTED", frozenset())
    locked = [
        ("one", index.add_wheel("one", "1.0", {"one-1.0.data/data/sbin/git": "#!/bin/sh\n"})),
        ("two", index.add_wheel("two", "1.0", {"two.py": "def main(): ...\n"}, programs=("python3", "harmless"))),
        ("three", index.add_wheel("three", "1.0", {"git/__init__.py": "", "sh.py": ""})),
    ]
    base = await engine.call("inspect_image", python_image.id)
    lock = Lock("requirements.lock", "".join(f"{name}==1.0 --hash={digest}\n" for name, digest in locked).encode())
    before = {image["Id"] for image in client.api.images(all=True)}
    with pytest.raises(ConfigurationError) as caught:
        await dependency_image(engine, base, lock, places)
    assert "requirements.lock" in caught.value.message
    assert caught.value.message.endswith(": 'git' at /usr/local/sbin/git, 'python3' at /usr/local/bin/python3")
    assert not client.images.list(dependency_tag(base["Id"], lock))
    assert not [one for one in {image["Id"] for image in client.api.images(all=True)} - before if _upon(client, one)]


def _upon(client: docker.DockerClient, image: str) -> bool:
    return "dev.assay.dependencies.lock" in client.images.get(image).labels


@pytest.mark.docker
async def test_a_change_counts_wherever_links_lead(engine: Engine, python_image: Image) -> None:
    """The file behind `python3` is `python3`; a name that the image lacks may not be last on the path either."""
    absent = (await ask_image(engine, python_image.id, ["sh", "-c", "command -v faketime || echo none"])).strip()
    assert absent == "none", "choose another protected program that the image lacks"
    harmless = "mkdir -p /last /opt/bin; touch /last/git /opt/bin/git /usr/local/bin/other"
    for script, replaced in (
        (harmless, ""),
        ("echo x >> $(readlink -f /usr/bin/python3)", "'python3' at /usr/bin/python3."),
        ("rm /usr/bin/git", "'git' at /usr/bin/git"),
        ("mkdir /last; touch /last/faketime", "'faketime' at /last/faketime"),
    ):
        async with workbench(engine, python_image.id, ["sh", "-c", script], user="0:0") as container:
            assert (await run_workbench(engine, container))[0] == 0
            if not replaced:
                await refuse_replaced(engine, python_image.id, container, "uv.lock", "/last")
                continue
            with pytest.raises(ConfigurationError) as caught:
                await refuse_replaced(engine, python_image.id, container, "uv.lock", "/last")
            assert replaced in caught.value.message


@pytest.mark.docker
async def test_a_layer_is_looked_at_by_its_own_python_alone(
    client: docker.DockerClient, engine: Engine, python_image: Image, places: BuildPlaces
) -> None:
    """A module in the working directory of the look does not take part in it."""
    command = ["sh", "-c", "echo 'raise SystemExit(3)' > /json.py"]
    async with workbench(engine, python_image.id, command, user="0:0") as container:
        await run_workbench(engine, container)
        made = await engine.call("commit", container, conf={"Labels": {}, "WorkingDir": "/"})
    base = await engine.call("inspect_image", made["Id"])
    lock = Lock("requirements.lock", b"# nothing yet\n")
    client.api.tag(made["Id"], "assay-test-misled", "1")
    try:
        layer = await dependency_image(engine, base, lock, places)
        client.images.remove(dependency_tag(base["Id"], lock))
        assert layer.lock == lock.digest
    finally:
        client.images.remove("assay-test-misled:1")
