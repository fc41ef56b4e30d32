"""A Docker engine of a test's own, which may be killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

IMAGE = "assay-sandbox/python:latest"
_STARTS = 3
"""Times that the engine is started before a test gives up on it."""


@contextmanager
def own_engine(name: str, configuration: dict[str, Any] | None = None) -> Iterator[OwnEngine]:
    """Yield a second engine with the sandbox image, and end it."""
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix=f"assay-{name}-")), configuration)  # a socket's path must be short
    engine.start()
    try:
        engine.load()
        yield engine
    finally:
        engine.end()


class OwnEngine:
    """A second dockerd beside the machine's, with everything of its own; it shares nothing but the kernel."""

    def __init__(self, folder: Path, configuration: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._configuration = configuration or {}
        self.host = f"unix://{folder}/sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if os.geteuid() != 0 or shutil.which("dockerd") is None:
            pytest.skip("needs root, and dockerd on this machine")
        for _ in range(_STARTS):
            process = self._process = self._launch()
            end = time.monotonic() + 60
            while self.docker("version", check=False).returncode != 0:
                if process.poll() is not None:
                    break  # it gives its containerd 15 seconds, which a busy machine does not always have
                assert time.monotonic() < end, "the second engine does not answer"
                time.sleep(0.1)  # it has no other way to say that it is ready
            else:
                return
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def _launch(self) -> subprocess.Popen[bytes]:
        (self.folder / "pid").unlink(missing_ok=True)
        (self.folder / "daemon.json").write_text(json.dumps(self._configuration))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    # In a network of its own: an engine without a bridge deletes the bridge of the one beside it.
                    *("unshare", "--net", "dockerd"),
                    *("--data-root", self.folder / "data"),
                    *("--exec-root", self.folder / "exec"),
                    *("--pidfile", self.folder / "pid"),
                    *("--host", self.host),
                    *("--config-file", self.folder / "daemon.json"),
                    *("--bridge", "none", "--iptables=false", "--ip-masq=false"),
                ],
                stdout=log,
                stderr=log,
            )

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a docker command against it."""
        return subprocess.run(["docker", "--host", self.host, *arguments], check=check, capture_output=True)

    def load(self) -> None:
        """Bring the sandbox image from the machine's engine."""
        saving = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
        assert saving.stdout is not None
        subprocess.run(
            ["docker", "--host", self.host, "load"], stdin=saving.stdout, stdout=subprocess.DEVNULL, check=True
        )
        saving.stdout.close()
        assert saving.wait() == 0

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it as it should, with its containers, and delete what it kept."""
        if self._process is None:
            return
        if self._process.poll() is not None:
            self.start()  # it alone knows how to end what it left running
        left = self.docker("ps", "-aq", check=False).stdout.decode().split()
        if left:
            self.docker("rm", "--force", *left, check=False)
        self._process.terminate()
        self._process.wait()
        for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
            target = mount.split()[1]
            if target.startswith(str(self.folder)):
                subprocess.run(["umount", "--lazy", target], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def processes(word: str) -> list[int]:
    """Return the processes of this machine, those in containers too, that have `word` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found
