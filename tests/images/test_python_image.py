"""What the image `python` holds, and what it must not hold; each is looked at inside a container."""

from __future__ import annotations

import docker
import pytest

from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, build_image, find_image, image_from, list_images, load_recipe

pytestmark = pytest.mark.docker


def output_of(client: docker.DockerClient, image: Image, script: str) -> str:
    """Run a script in a container as an unprivileged user with no network, and return what it printed."""
    said: bytes = client.containers.run(
        image.id, ["sh", "-ec", script], user="54321:54321", network_mode="none", read_only=True,
        tmpfs={"/tmp": "mode=1777"}, environment={"HOME": "/tmp"}, remove=True, stderr=True,
    )  # fmt: skip
    return said.decode()


def test_the_tools_work_for_an_unprivileged_user(client: docker.DockerClient, python_image: Image) -> None:
    """Python 3.11 or newer, git, and pytest with its JUnit output, with a read-only root and no network."""
    said = output_of(
        client,
        python_image,
        """
        cd /tmp && git init -q r && cd r
        printf 'def test_passes(): pass\\ndef test_fails(): assert 0\\n' > test_a.py
        git add . && git -c user.name=a -c user.email=a@b commit -qm one
        python -B -m pytest -q -p no:cacheprovider --junitxml=out.xml >/dev/null || test $? = 1
        python3 -c 'import sys; print(sys.version_info >= (3, 11))'
        grep -o 'tests="2"' out.xml && grep -o 'failures="1"' out.xml
        git log --format=%s
        LD_PRELOAD=$(find /usr/lib -name libfaketime.so.1) FAKETIME='2001-02-03 04:05:06' date +%Y
        """,
    )
    assert said.split() == ["True", 'tests="2"', 'failures="1"', "one", "2001"]


@pytest.mark.parametrize(("extra", "compiled_anew"), [("", "0"), (", uncompiled", "1")])
def test_pytest_starts_from_compiled_code(
    client: docker.DockerClient, python_image: Image, extra: str, compiled_anew: str
) -> None:
    """The root is read-only, so that what is not compiled in the image would be compiled for every command."""
    said = output_of(
        client,
        python_image,
        f"""
        cd /tmp && touch uncompiled.py
        python3 -v -c 'import pytest, json, asyncio{extra}' 2>&1 | grep -c "code object from /.*[.]py$" || true
        """,
    )
    assert said.strip() == compiled_anew


def test_nothing_in_it_can_change_its_user(client: docker.DockerClient, python_image: Image) -> None:
    """No set-user-id or set-group-id file is left, though Debian's packages bring several."""
    assert output_of(client, python_image, "find / -xdev -type f -perm /6000 2>/dev/null || true") == ""


@pytest.mark.parametrize("path", ["/usr/share/man", "/var/lib/apt/lists/lock", "/etc/machine-id", "/debootstrap"])
def test_what_a_sandbox_has_no_use_for_is_gone(client: docker.DockerClient, python_image: Image, path: str) -> None:
    """Manuals, package lists and the traces of the build are not in it."""
    assert output_of(client, python_image, f"ls -d {path} 2>/dev/null || true") == ""


async def test_an_image_that_is_there_is_not_built_again(
    engine: Engine, python_image: Image, places: BuildPlaces
) -> None:
    """The second time takes no step at all, and gives the same image."""
    said: list[str] = []
    assert await build_image(engine, load_recipe("python"), places, progress=said.append) == python_image
    assert said == []


async def test_its_record_says_what_it_is(client: docker.DockerClient, engine: Engine, python_image: Image) -> None:
    """Name, id and every package with its version come back from the labels."""
    assert python_image.name == "python"
    assert python_image.id.startswith("sha256:")
    assert {package.split()[0] for package in python_image.packages} >= {"git", "python3", "python3-pytest", "libc6"}
    assert all(len(package.split()) == 2 for package in python_image.packages)
    assert python_image in await list_images(engine)
    latest = client.images.get("assay-sandbox/python:latest")
    assert image_from(latest.attrs) == python_image


async def test_an_image_of_another_recipe_does_not_count(engine: Engine, python_image: Image) -> None:
    """The key decides, and not the name."""
    assert await find_image(engine, load_recipe("python")) == python_image
    assert await find_image(engine, load_recipe("python", base="debian:other")) is None
