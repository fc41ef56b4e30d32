"""What a gate is given to look at: a change, the files in it on both sides, and sandboxes that hold base or head."""

from __future__ import annotations

import asyncio
import codecs
import hmac
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from pydantic import JsonValue

from assay.policies.settings import GateSettings, Settings
from assay.records.changes import FileChange
from assay.records.sandboxes import SandboxOwner
from assay.records.trees import EXECUTABLE, REGULAR, Tree, TreeFile
from assay.sandboxes.protocol import Sandbox, SandboxProvider
from assay.store.git import GitStore

Side = Literal["base", "head"]
MOST_BYTES: Final = 2_000_000
"""Of one file; a longer one is not scanned, and that is said."""
_MARKS: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType(
    {
        "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
        "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    }
)
_TEXTS: Final = tuple(
    f".{ending}"
    for ending in """
        asm asp aspx astro awk bash bat bicep c cc cfg clj cls cmake cmd cnf coffee conf config cpp cs css
        csv cts cxx dart dockerfile el eml env erl ex example exs eyaml feature fish fs go gql gradle
        graphql groovy h haml hbs hcl hh hpp hs htm html ini ipynb java jinja jinja2 jl js json json5 jsonc
        jsonl jsp jsx key kt kts less lisp lock log lua m mak md mjs cjs mk ml mm mts ndjson nim nix org pas
        patch pem php pl pm properties proto ps1 psm1 py pyi pyw pyx r rb rs rst sass scala scm scss sh sol
        sql styl svelte svg swift tcl tex tf tfvars thrift toml ts tsv tsx twig txt vb vbs vcf vim vue wsf
        xhtml xml xsl xslt yaml yml zig zsh
    """.split()  # noqa: SIM905 - a hundred lines otherwise
)
"""How names of code and text end: such a file is looked at whatever bytes are in it."""


@dataclass(frozen=True)
class ChangedFile:
    """A regular file that a change touches, on one side of it."""

    path: str
    data: bytes

    @property
    def text(self) -> str:
        """Its content, as UTF-16 or UTF-32 where it begins with their mark; what is no text of its kind is replaced.

        Zero bytes are left out, for they would hide what stands between them; and a mark is believed only where more
        can be read with it than without.
        """
        if b"\0" not in self.data:
            return self.data.decode("utf-8-sig", "replace")
        plain = self.data.replace(b"\0", b"").decode("latin-1")
        marked = [self.data.decode(name, "replace") for name, marks in _MARKS.items() if self.data.startswith(marks)]
        return max((plain, *marked), key=lambda text: sum(map(str.isascii, text)) + (text is not plain))

    @property
    def is_text(self) -> bool:
        """Whether it holds no zero byte, as git tells text from the rest, or its name or its start says that it is."""
        if b"\0" not in self.data[:8000] or self.data.startswith(_MARKS["utf-16"]):
            return True
        name = self.path.rpartition("/")[2].lower()
        return "." not in name.lstrip(".") or name.endswith(_TEXTS)


@dataclass(frozen=True)
class Look:
    """One gate, and the change that it looks at."""

    name: str
    gate: GateSettings
    settings: Settings
    run: str
    unit: str
    base: str
    head: str
    changes: tuple[FileChange, ...]
    git: GitStore
    sandboxes: SandboxProvider
    evidence: dict[str, JsonValue] = field(default_factory=dict)
    """What was seen, for the ledger: how commands ended, what was measured."""
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Of this look alone, and kept nowhere: by it marks of base and head are compared, and cannot be turned back."""

    def mark(self, text: str) -> str:
        """Return what is the same for the same text in this look, and tells nothing of it."""
        return hmac.digest(self.key, text.encode(errors="surrogatepass"), "sha256").hex()[:32]

    async def files(self, side: Side) -> tuple[ChangedFile, ...]:
        """Return the regular files of one side that the change touches, the too long ones without content."""
        sides = [
            (c.old_path, c.old_oid, c.old_mode) if side == "base" else (c.path, c.new_oid, c.new_mode)
            for c in self.changes
        ]
        found = [
            (p, oid) for p, oid, mode in sides if p is not None and oid is not None and mode in (REGULAR, EXECUTABLE)
        ]
        return tuple([ChangedFile(p, await asyncio.to_thread(self.git.contents.read, oid)) for p, oid in found])

    def added_lines(self) -> Iterator[tuple[str, int, str]]:
        """Yield path, line number and text of each line that the change adds."""
        for change in self.changes:
            for hunk in change.hunks:
                line = hunk.new_start
                for text in hunk.text.split("\n"):
                    if text.startswith("+"):
                        yield change.path, line, text[1:]
                    line += text[:1] in ("+", " ")

    def removed_lines(self) -> Iterator[str]:
        """Yield each line that the change takes away."""
        return (t[1:] for c in self.changes for h in c.hunks for t in h.text.split("\n") if t.startswith("-"))

    @asynccontextmanager
    async def sandbox(
        self, side: Side, over: Mapping[str, TreeFile] | None = None, *, without: str = ""
    ) -> AsyncIterator[Sandbox]:
        """Open a fresh sandbox of the proof's profile that holds one side; raises SandboxLost.

        Args:
            side: base or head.
            over: files that take the place of those in the tree: what is trusted comes from the base.
            without: a file that is left out of the tree, because a command has to write it.
        """
        profile = self.settings.sandbox(self.settings.proof.sandbox)
        owner = SandboxOwner(run=self.run, role="gate", step=f"{self.unit} {self.name}")
        tree: Tree = await self.git.tree(self.base if side == "base" else self.head)
        laid = {path: file for path, file in {**tree, **(over or {})}.items() if path != without}
        async with await self.sandboxes.open(profile, owner) as sandbox:
            await sandbox.put_tree(laid, self.git.contents)
            yield sandbox


def too_long(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    """Return the paths of the text files that are too long to be scanned."""
    return tuple(file.path for file in files if file.is_text and len(file.data) > MOST_BYTES)


def in_words(files: Sequence[ChangedFile]) -> str:
    """Return how many files were looked at, in words."""
    texts = sum(file.is_text for file in files)
    other = f" ({len(files) - texts} more are no text)" if texts < len(files) else ""
    return f"{texts} changed {'file' if texts == 1 else 'files'}{other}"
