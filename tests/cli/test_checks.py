"""What `assay check` can be asked: trusted tests as a patch, the words of a pull request, another command, image,
level and time; and what it says to what makes no sense.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.program import PRICES, SHORT, Project, call

ROUNDED = PRICES.replace("cents * percent // 100", "-(-cents * percent // 100)")
PATCH = """\
Rounding, as support asked for it.

--- a/tests/test_prices.py
+++ b/tests/test_prices.py
@@ -3,3 +3,7 @@

 def test_ten_percent_off() -> None:
     assert discount(1000, 10) == 900
+
+
+def test_rounds_in_favour() -> None:
+    assert discount(99, 10) == 89
"""
WORDS = """\
# Round discounts up

- All tests pass.
- No tests were changed.
- Only touches `prices.py`.
- 7 passed
- Customers will be happier.
"""


@pytest.mark.docker
def test_everything_can_be_said_at_once(project: Project) -> None:
    """A patch of tests over both sides, a pull request's words beside it, and each setting from the command line."""
    project.repository.commit({"assay.toml": SHORT})
    patch, words = project.folder / "acceptance.diff", project.folder / "request.md"
    patch.write_text(PATCH)
    words.write_text(WORDS)
    said = call(
        *("check", project.change("up", {"prices.py": ROUNDED}), "--repo", project.repo, "--json"),
        *("--tests", patch, "--claim", words, "--kind", "fix", "--level", "b", "--seconds", "300"),
        *("--image", "python", "--test-command", "python -m pytest -q"),
    )
    assert (said.code, said.result["verdict"], said.result["level"]) == (0, "proven", "B"), said
    assert {"reasons", "steps", "witness", "unproven_lines", "flags", "evidence", "seconds"} <= said.result.keys()
    assert all({"id", "title", "outcome", "seconds", "reasons"} == step.keys() for step in said.result["steps"])
    marks = {sentence["text"]: sentence["mark"] for sentence in said.result["statement"]}
    assert marks == {
        "Round discounts up": "unverified",
        "All tests pass.": "confirmed",
        "No tests were changed.": "confirmed",
        "Only touches `prices.py`.": "confirmed",
        "7 passed": "contradicted",
        "Customers will be happier.": "unverified",
    }
    assert "7 passed (1 pass)" in said.err
    assert "Sentence by sentence" in Path(said.result["evidence"]).read_text()
    # The negative control: the same tests refute the same claim about a change that does not do it.
    worse = project.change("off", {"prices.py": PRICES.replace("// 100", "// 100 + 0")})
    said = call("check", worse, "--repo", project.repo, "--json", "--tests", patch, "--claim", words, "--kind", "fix")
    assert (said.code, said.result["verdict"]) == (1, "refuted"), said
    assert said.result["witness"]["test"] == "tests/test_prices.py::test_rounds_in_favour"


@pytest.mark.docker
def test_no_time_is_no_verdict(project: Project) -> None:
    """What a proof needs and had no time for leaves the claim open, by name; nothing is proven by having been fast."""
    changed = project.change("good", {"README.md": "Words.\n"})
    said = call("check", changed, "--repo", project.repo, "--json", "--seconds", "0.01")
    assert (said.code, said.result["verdict"]) == (3, "inconclusive"), said
    assert "the time for the proof was over" in said.result["reasons"][0]
    assert "canary" in said.result["reasons"][0]
    assert "--seconds" in said.result["question"]


@pytest.mark.docker
def test_an_image_that_is_not_there(project: Project) -> None:
    """It is named, with what would make it."""
    changed = project.change("good", {"README.md": "Words.\n"})
    for name in ("nobody", "nobody/nothing:1"):
        said = call("check", changed, "--repo", project.repo, "--json", "--image", name)
        assert said.code == 3
        assert said.result["error"] == "ImageMissing"
        assert name in said.result["message"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--level", "D"], "'D' is no level of a proof"),
        (["--seconds", "0"], "--seconds must be above 0"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--seconds", "inf"], "--seconds must be above 0"),
        (["--seconds", "soon"], "--seconds"),
        (["--test-command", ""], "--test-command has no words"),
        (["--test-command", "-k 'a"], "cannot be split into words"),
        (["--image", " "], "--image names no image"),
        (["--kind", "miracle"], "'miracle' is no kind of claim"),
        (["--tests", "nowhere"], "does not exist"),
        (["--claim", "nowhere"], "cannot be read"),
    ],
)
def test_options_that_make_no_sense(project: Project, options: list[str], message: str) -> None:
    """A mistake of usage, in words, before anything is executed."""
    changed = project.change("good", {"README.md": "Words.\n"})
    said = call("check", changed, "--repo", project.repo, *options)
    assert said.code == 2, said
    assert message in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe words", "is not UTF-8 text"),
        (b"a\0b", "is a binary file"),
        (b'{"kind": "fix"}', "statement: Field required"),
        (b'{"kind": "fix", "statement": "x", "surprise": 1}', "surprise: Extra inputs"),
        (b'{"kind": ', "the file: Invalid JSON"),
        (b"x" * 1_000_001, "has more than"),
    ],
)
def test_claims_that_cannot_be_read(project: Project, content: bytes, message: str) -> None:
    """Each is refused with its place."""
    claim = project.folder / "claim"
    claim.write_bytes(content)
    said = call("check", project.change("good", {"README.md": "Words.\n"}), "--repo", project.repo, "--claim", claim)
    assert said.code == 2, said
    assert message in said.err


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (PATCH.replace("test_ten_percent_off", "test_eleven"), "patch failed: tests/test_prices.py:3"),
        (PATCH.replace("tests/test_prices.py", "tests/test_none.py"), "tests/test_none.py: does not exist"),
        ("nothing that is a diff\n", "No valid patches"),
        ("--- /dev/null\n+++ b/prices.py2.py\n@@ -0,0 +1 @@\n+x = 1\n", "touches prices.py2.py, which is no test"),
        ("--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x = 1\n", "invalid path"),
        (
            "diff --git a/tests/l b/tests/l\nnew file mode 120000\n"
            "--- /dev/null\n+++ b/tests/l\n@@ -0,0 +1 @@\n+/etc\n",
            "makes tests/l a link",
        ),
    ],
)
def test_patches_that_cannot_be_laid_over(project: Project, patch: str, message: str) -> None:
    """A patch that does not fit, or that would put another program in the place of the change's, is refused by file."""
    path = project.folder / "tests.diff"
    path.write_text(patch)
    said = call("check", project.change("good", {"README.md": "Words.\n"}), "--repo", project.repo, "--tests", path)
    assert said.code == 2, said
    assert message in " ".join(said.err.split())
    assert str(path) in said.err
