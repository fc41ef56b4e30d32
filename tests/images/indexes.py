"""A package index of a test's own, on the loopback interface, and small wheels to put into it."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Index:
    """A folder that is served as PEP 503 asks for, with the requests that came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.asked: list[str] = []

    def add_wheel(
        self,
        name: str,
        version: str,
        files: dict[str, str],
        *,
        requires: tuple[str, ...] = (),
        programs: tuple[str, ...] = (),
        tag: str = "py3-none-any",
    ) -> str:
        """Write a wheel and return its digest as a lock file names it."""
        plain = name.replace("-", "_")
        info = f"{plain}-{version}.dist-info"
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
        entries = "".join(f"{program} = {plain}:main\n" for program in programs)
        content = {
            **files,
            f"{info}/METADATA": "\n".join(metadata) + "\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{entries}",
        }
        record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
        path = self._place(name) / f"{plain}-{version}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for place, text in {**content, f"{info}/RECORD": record}.items():
                archive.writestr(place, text)
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def add_source(self, name: str, version: str) -> str:
        """Write a source distribution, which nobody may build, and return its digest."""
        path = self._place(name) / f"{name.replace('-', '_')}-{version}.tar.gz"
        path.write_bytes(b"a source distribution")
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def _place(self, name: str) -> Path:
        folder = self.folder / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class _Handler(SimpleHTTPRequestHandler):
    """Lists a folder as links, and notes what is asked for."""

    def __init__(self, index: Index, *values: object) -> None:
        self.index = index
        super().__init__(*values, directory=str(index.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.index.asked.append(self.path)
        super().do_GET()

    def log_message(self, *values: object) -> None:
        """Stay silent."""


@contextmanager
def served_index(folder: Path) -> Iterator[Index]:
    """Yield an empty index, and end it afterwards."""
    (folder / "simple").mkdir(parents=True)
    index = Index(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, index))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
