"""The committed supervisor is what its sources make."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import assay.sandboxes
from assay.errors import ImageMissing
from assay.sandboxes.layers import read_supervisor

FOLDER = Path(assay.sandboxes.__file__).parent.resolve() / "supervisor"
BINARY = FOLDER / "supervisor-x86_64"


def origin() -> dict[str, str]:
    """Return what was noted when the binary was built."""
    lines = (FOLDER / "supervisor-x86_64.origin").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def digest_of_sources(folder: Path) -> str:
    """Return the digest that the Makefile notes."""
    names = [
        *sorted(path.name for path in folder.glob("*.c")),
        *sorted(path.name for path in folder.glob("*.h")),
        "Makefile",
    ]
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()


def test_the_binary_belongs_to_the_sources() -> None:
    """Nobody changed a source, or the binary, without building and committing the other."""
    noted = origin()
    assert digest_of_sources(FOLDER) == noted["sources"], "run: make -C sandboxes/supervisor"
    assert hashlib.sha256(BINARY.read_bytes()).hexdigest() == noted["binary"]


def test_a_changed_source_is_noticed(tmp_path: Path) -> None:
    """One byte more in one source gives another digest."""
    shutil.copytree(FOLDER, tmp_path / "supervisor")
    with (tmp_path / "supervisor" / "kill.c").open("a") as source:
        source.write("\n")
    assert digest_of_sources(tmp_path / "supervisor") != origin()["sources"]


def test_it_is_small_and_static() -> None:
    """It is below 100 KB and asks for no loader, so that it runs in any image."""
    data = BINARY.read_bytes()
    assert len(data) < 100_000
    assert data[:5] == b"\x7fELF\x02"
    assert b"ld-linux" not in data
    assert b"ld-musl" not in data


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same compiler and C library make the same bytes; others at least make a binary."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not installed (Debian: apt-get install musl-tools)")
    if platform.machine() != "x86_64":
        pytest.skip("the committed binary is for x86_64")
    shutil.copytree(FOLDER, tmp_path / "supervisor", ignore=shutil.ignore_patterns("supervisor-*"))
    subprocess.run(["make", "-s", "-C", tmp_path / "supervisor"], check=True, capture_output=True)
    noted = origin()
    made = (tmp_path / "supervisor" / "supervisor-x86_64.origin").read_text().splitlines()
    built = dict(line.split(" ", 1) for line in made)
    assert built["sources"] == noted["sources"]
    if (built["compiler"], built["musl"]) != (noted["compiler"], noted["musl"]):
        pytest.skip(f"another compiler than the committed binary's: {built['compiler']}, musl {built['musl']}")
    assert (tmp_path / "supervisor" / "supervisor-x86_64").read_bytes() == BINARY.read_bytes()


def test_other_machines_are_told_how_to_build() -> None:
    """Where there is no binary for a machine, the error names the command that makes one."""
    assert read_supervisor("amd64") == BINARY.read_bytes()
    with pytest.raises(ImageMissing, match="no supervisor for 'riscv64'") as missing:
        read_supervisor("riscv64")
    assert missing.value.next_step is not None
    assert "make -C" in missing.value.next_step
