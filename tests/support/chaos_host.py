"""Commands of a fake sandbox, executed on this machine in a folder of their own, and not twice.

The same command on the same files gives the same outcome. So what a run has executed once is looked up when it is
resumed a hundred times: what chaos tests try is who remembers what, and not pytest.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import secrets
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from assay.evidence import runner_pytest
from assay.records.sandboxes import Ending, Exited, Signalled
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome

_PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "pygments")
_ROOTS = ("workspace", "held_out", "tmp", "home")
_ROOT = re.compile(rf"(?<![\w.])/(?={'|'.join(_ROOTS)}\b)")


@dataclass(frozen=True, slots=True)
class HostCommands:
    """Executes commands for `FakeSandboxProvider`; isolates nothing. Use `make` once, then the same folder anywhere."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> HostCommands:
        """Make what commands need: a Python that has pytest and nothing else, and the places of what they do."""
        for name in ("memory", "commands"):
            (folder / name).mkdir(parents=True)
        venv.create(folder / "python", symlinks=True)
        (site,) = (folder / "python").glob("lib/python*/site-packages")
        for package in _PACKAGES:
            found = find_spec(package)
            assert found is not None and found.origin is not None, f"{package} is not installed"
            origin = Path(found.origin)
            whole = origin.parent if origin.name == "__init__.py" else origin
            (site / whole.name).symlink_to(whole)
        return cls(folder)

    def __call__(self, asked: FakeCommand) -> FakeOutcome:
        known = self.folder / "memory" / _identify(asked)
        if known.exists():
            outcome: FakeOutcome = pickle.loads(known.read_bytes())
            return outcome
        with tempfile.TemporaryDirectory(dir=self.folder / "commands") as place:
            outcome = self._execute(asked, Path(place))
        fresh = known.with_name(f".{known.name}.{secrets.token_hex(4)}")
        fresh.write_bytes(pickle.dumps(outcome))
        fresh.replace(known)
        return outcome

    def _execute(self, asked: FakeCommand, place: Path) -> FakeOutcome:
        _lay_down(asked, place)
        command = ["/bin/sh", "-c", asked.command] if isinstance(asked.command, str) else list(asked.command)
        environment = {name: _moved(value, place) for name, value in asked.env.items()}
        environment["PATH"] = f"{self.folder / 'python' / 'bin'}:{os.environ.get('PATH', os.defpath)}"
        environment.pop("PYTHONPYCACHEPREFIX", None)
        ended = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" 3>{place}/report', "sh", *_words(command, place)],
            input=asked.stdin,
            env=environment,
            cwd=_moved(asked.cwd, place),
            capture_output=True,
            timeout=asked.timeout,
            check=False,
        )
        code, here = ended.returncode, str(place).encode()
        ending: Ending = Exited(code=code) if code >= 0 else Signalled(signal=-code)
        return FakeOutcome(
            ending=ending,
            stdout=ended.stdout.replace(here, b""),
            stderr=ended.stderr.replace(here, b""),
            report=(place / "report").read_bytes(),
            files=_take_up(place),
        )


def take_chance_out() -> None:
    """Let the judge draw the same key and the same name for its control each time, so that runs can be looked up."""
    fixed = SimpleNamespace(token_bytes=bytes, token_hex=lambda size: "00" * size)
    setattr(runner_pytest, "secrets", fixed)  # noqa: B010 - a module's name is no attribute that mypy lets us set


def _identify(asked: FakeCommand) -> str:
    files = sorted((path, file.mode, hashlib.sha256(file.data).hexdigest()) for path, file in asked.files.items())
    text = repr((asked.command, files, asked.stdin, sorted(asked.env.items()), asked.cwd, asked.report))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _lay_down(asked: FakeCommand, place: Path) -> None:
    for root in _ROOTS:
        (place / root).mkdir()
    for name, file in asked.files.items():
        path = place / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.mode == SYMLINK:
            path.symlink_to(file.data.decode())
        else:
            path.write_bytes(file.data)
            path.chmod(0o755 if file.mode == EXECUTABLE else 0o644)


def _words(command: list[str], place: Path) -> Iterator[str]:
    """Yield a command's words for this place. The byte code of pytest may be that of where it is installed."""
    for word in command:
        yield "utf8" if word.startswith("pycache_prefix=") else _moved(word, place)


def _moved(text: str, place: Path) -> str:
    return _ROOT.sub(f"{place}/", text)


def _take_up(place: Path) -> dict[str, FakeFile]:
    found: dict[str, FakeFile] = {}
    for path in place.rglob("*"):
        name = f"/{path.relative_to(place)}"
        if name == "/report" or "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            found[name] = FakeFile(SYMLINK, str(path.readlink()).encode())
        elif path.is_file():
            mode = EXECUTABLE if path.stat().st_mode & 0o100 else REGULAR
            found[name] = FakeFile(mode, path.read_bytes())
    return found
