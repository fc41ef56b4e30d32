"""The folder of a witness where nothing has to be executed: odd names, words of others, and held-out tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assay.app.wiring import open_house
from assay.app.witnesses import Shown, export_witness
from assay.errors import InfrastructureError
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.records.verdicts import Verdict, VerdictStatus, Witness
from assay.sandboxes.engine import Engine

ODD = "it's $(touch here)\n.py"


async def test_the_script_of_a_comparison_takes_names_as_they_are(tmp_path: Path) -> None:
    """Quotes, a command and a line's end in a name; what others wrote is shown and not obeyed by a terminal."""
    engine = Engine()
    folder = tmp_path / "witness"
    async with open_house(root=tmp_path / "state") as house:
        trees = []
        for data in (b"old = 1\n", b"new = 2\n"):
            trees.append(await house.git.write_tree({ODD: TreeFile(REGULAR, blob_id(data))}, {blob_id(data): data}))
        witness = Witness(
            argv=("git", "diff", trees[0], trees[1], "--", ODD), image="", tree=trees[1], held_out=True,
            expected="nothing else", got="\x1b[2J\u202eelse", reproduced=0, command="git diff",
        )  # fmt: skip
        verdict = Verdict(
            claim="c1", base=trees[0], head=trees[1], tree=trees[1], status=VerdictStatus.REFUTED,
            reasons=("\x1b]0;x\x07it differs",), witness=witness,
        )  # fmt: skip
        shown = Shown(run="check-1", verdict=verdict, witness=witness, image=None, data=b"{}", attestation=None)
        files = await export_witness(house, shown, folder, engine, lambda line: None)
        (tmp_path / "file").write_text("")
        with pytest.raises(InfrastructureError, match="name a folder in which you may write"):
            await export_witness(house, shown, tmp_path / "file" / "x", engine, lambda line: None)
    await engine.close()
    assert files == ("README.md", "base.tar", "run.sh", "tree.tar", "verdict.json", "SHA256SUMS")
    done = subprocess.run([folder / "run.sh"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "-old = 1\n+new = 2\n" in done.stdout
    assert not list(tmp_path.rglob("here"))
    readme = (folder / "README.md").read_text()
    assert "The tree holds held-out tests" in readme
    assert not set(readme) & {"\x1b", "\x07", "\u202e"}
