"""`assay witness`: a refutation in a folder, which shows it again where there is no assay and not yet the image."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from small_disks import small_disk
from tests.cli.program import PRICES, Project, Said, call

pytestmark = pytest.mark.docker

BROKEN = PRICES.replace("cents - cents", "cents + cents")


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """A client of the engine."""
    client = docker.from_env()
    yield client
    client.close()


def remove(client: docker.DockerClient, image: str) -> None:
    """Remove an image of this test's own with what assay put upon it."""
    for layer in client.images.list(filters={"label": f"dev.assay.supervisor.base={image}"}):
        client.images.remove(str(layer.id), force=True, noprune=True)
    client.images.remove(image, force=True)


@pytest.fixture
def own_image(client: docker.DockerClient) -> Iterator[str]:
    """An image that nothing but this test has, so that it can go and come back."""
    made = client.api.create_container("assay-sandbox/python:latest", command=["-"])
    try:
        image = str(client.api.commit(made["Id"], conf={"Labels": {"assay-test": os.urandom(8).hex()}})["Id"])
    finally:
        client.api.remove_container(made["Id"])
    yield image
    if client.images.list(filters={"label": "assay-test"}):
        remove(client, image)


def broken(project: Project) -> str:
    """Commit a change that breaks what worked, and return its range."""
    return project.change("broken", {"prices.py": BROKEN})


def show(folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Execute the script of a folder with nothing but Docker and the usual tools."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder)} | (environment or {})
    return subprocess.run([folder / "run.sh"], env=plain, cwd="/", capture_output=True, text=True, check=False)


def sums(folder: Path) -> dict[str, str]:
    """Return the digests that a folder lists."""
    return {line.split("  ")[1]: line.split("  ")[0] for line in (folder / "SHA256SUMS").read_text().splitlines()}


def exported(run: str, folder: Path, *more: str) -> Said:
    """Write a witness into a folder."""
    return call("witness", run, "--export", folder, *more)


def test_a_refutation_travels(
    project: Project, tmp_path: Path, state: Path, own_image: str, client: docker.DockerClient
) -> None:
    """The image is gone from the engine and assay's state from the disk, and the folder shows the failure."""
    said = call("check", broken(project), "--repo", project.repo, "--image", own_image, "--json")
    assert said.result["verdict"] == "refuted", said
    run = said.result["run"]
    printed = call("witness", run)
    assert printed.code == 0
    assert f"git --git-dir {state}" in printed.out
    assert "tests/test_prices.py::test_ten_percent_off" in printed.out
    assert " packages" in printed.out

    mine = project.repo / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    full = exported(run, mine)
    assert full.code == 2
    assert "is there already" in full.err
    assert (mine / "file").read_text() == "mine"
    unknown = call("witness", run, "--claim", "other")
    assert unknown.code == 2
    assert "was not refuted" in unknown.err
    assert call("witness", "r20260101-none").code == 2

    folder = tmp_path / "out" / "witness"
    told = exported(run, folder, "--json")
    assert told.code == 0, told
    assert "writing the image, about" in told.err
    files = {path.name for path in folder.iterdir()}
    assert files == set(told.result["files"])
    assert files == {
        "README.md", "SHA256SUMS", "image.tar", "packages.txt", "run.sh", "signer.pub.json", "statement.dsse.json",
        "tree.tar", "verdict.json",
    }  # fmt: skip
    assert sums(folder).keys() == files - {"SHA256SUMS"}
    for name, digest in sums(folder).items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert any(line.startswith("git ") for line in (folder / "packages.txt").read_text().splitlines())
    statement = json.loads((folder / "statement.dsse.json").read_text())
    assert statement["signatures"]
    readme = (folder / "README.md").read_text()
    assert "docker load -i image.tar && docker run" in readme
    assert own_image in readme
    with tarfile.open(folder / "tree.tar") as archive:
        assert archive.getnames() == ["prices.py", "tests/test_prices.py"]

    with small_disk(tmp_path / "small", "8m") as small:  # what does not fit is said before, or taken back
        full = exported(run, small / "witness", "--json")
        assert (full.code, full.result["error"]) == (3, "DiskFull"), full
        assert "MiB are needed" in full.result["message"]
        assert not (small / "witness").exists()
        (small / "filler").write_bytes(b"\0" * (os.statvfs(small).f_bavail * os.statvfs(small).f_frsize - 4096))
        full = exported(run, small / "witness", "--json")
        assert (full.code, full.result["error"]) == (3, "DiskFull"), full
        assert "no space left" in full.result["message"]
        assert not (small / "witness").exists()

    remove(client, own_image)
    assert not client.images.list(filters={"label": "assay-test"})
    late = exported(run, tmp_path / "late", "--json")
    assert (late.code, late.result["error"]) == (3, "ImageMissing"), late
    assert not (tmp_path / "late").exists()
    state.rename(tmp_path / "gone")
    again = show(folder)
    assert again.returncode == 1, again
    assert "assert 1100 == 900" in again.stdout
    assert "1 failed" in again.stdout
    assert str(client.images.get(own_image).id) == own_image, "it was loaded under the id that the evidence names"
    assert show(folder).returncode == 1, "and again, with the image there"

    # The control: with the program as it was, the same script ends well.
    mended = tmp_path / "mended"
    mended.mkdir()
    with tarfile.open(folder / "tree.tar") as archive:
        archive.extractall(mended, filter="data")
    (mended / "prices.py").write_text(PRICES)
    with tarfile.open(folder / "tree.tar", "w") as archive:
        for path in ("prices.py", "tests/test_prices.py"):
            archive.add(mended / path, path)
    assert show(folder).returncode == 0
