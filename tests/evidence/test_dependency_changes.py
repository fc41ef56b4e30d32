"""S14, what is read: manifests, lock files and images as data, and what a change does to them."""

from __future__ import annotations

import json

import pytest

from assay.evidence.dependency_changes import Dependencies, examine_dependencies
from assay.evidence.manifests import Listing, Unread, canonical, is_manifest, read_manifest
from assay.policies.settings import Settings
from assay.records.claims import ClaimDraft, ClaimKind
from assay.records.sandboxes import SandboxProfile
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id

ONE = "sha256:" + "1" * 64
TWO = "sha256:" + "2" * 64
SETTINGS = Settings(sandboxes={"default": SandboxProfile(dependencies="requirements.lock")})


class Held:
    """Contents of a test's trees."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def read(self, oid: str) -> bytes:
        return self._held[oid]

    def tree(self, files: dict[str, str]) -> Tree:
        """Return a tree of these files."""
        found = {}
        for path, text in files.items():
            data = text.encode()
            self._held[blob_id(data)] = data
            found[path] = TreeFile(REGULAR, blob_id(data))
        return found


def examine(
    before: dict[str, str], after: dict[str, str], named: tuple[str, ...] | None = None, settings: Settings = SETTINGS
) -> Dependencies:
    """Return what a change does to dependencies; `named` is what its claim calls new."""
    held = Held()
    draft = ClaimDraft(kind=ClaimKind.FIX, statement="Done.", new_dependencies=named)
    return examine_dependencies(held.tree(before), held.tree(after), held, settings, draft)


def told(found: Dependencies) -> list[str]:
    """Return the flags in a few words."""
    return [f"{flag.kind.removeprefix('dependency-')} {flag.text}" for flag in found.flags]


PYPROJECT = """\
[build-system]
requires = ["hatchling>=1"]
[project]
dependencies = ["requests>=2,<3", "odd @ git+https://git.example/odd"]
[project.optional-dependencies]
fast = ["Orjson==3.1"]
[dependency-groups]
dev = ["pytest", {include-group = "x"}]
[tool.uv]
index = [{name = "own", url = "https://index.example/simple"}]
[tool.uv.sources]
requests = {path = "../requests"}
[tool.poetry.dependencies]
python = "^3.11"
attrs = {version = "^23", git = "https://git.example/attrs"}
"""
UV = """\
version = 1
[[package]]
name = "app"
source = { virtual = "." }
[[package]]
name = "one"
version = "1.0"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://files.example/one.tar.gz", hash = "sha256:aa" }
wheels = [{ url = "https://files.example/one.whl", hash = "sha256:bb" }]
"""
PYLOCK = """\
lock-version = "1.0"
[[packages]]
name = "one"
version = "1.0"
wheels = [{name = "one.whl", hashes = {sha256 = "bb"}}]
[[packages]]
name = "two"
vcs = {type = "git", url = "https://git.example/two", commit-id = "abc"}
"""
PACKAGE_LOCK = json.dumps(
    {
        "packages": {
            "": {"name": "app"},
            "node_modules/@a/b": {
                "version": "1.0.0",
                "resolved": "https://registry.example/@a/b.tgz",
                "integrity": "sha512-x",
            },
            "node_modules/@a/b/node_modules/c": {"version": "2.0.0", "resolved": "git+ssh://git.example/c.git#1"},
            "workspace": {"link": True},
        }
    }
)


def names(path: str, text: str) -> dict[str, tuple[str, int, tuple[str, ...]]]:
    """Return what a file takes: version, number of digests and sources by name."""
    taken = read_manifest(path, text.encode()).taken
    return {name: (one.version, len(one.digests), tuple(sorted(one.sources))) for name, one in taken.items()}


def test_each_kind_of_file_is_read() -> None:
    """Names, versions, digests and sources, in the words of each format."""
    assert names("pyproject.toml", PYPROJECT) == {
        "hatchling": (">=1", 0, ()),
        "requests": ("<3,>=2", 0, ('{"path": "../requests"}',)),
        "odd": ("any version", 0, ("git+https://git.example/odd",)),
        "orjson": ("==3.1", 0, ()),
        "pytest": ("any version", 0, ()),
        "attrs": ("^23", 0, ("git https://git.example/attrs",)),
    }
    assert names("sub/uv.lock", UV) == {"one": ("1.0", 2, ("https://index.example",))}
    assert set(names("pylock.dev.toml", PYLOCK)) == {"one", "two"}
    assert names("package-lock.json", PACKAGE_LOCK) == {
        "@a/b": ("1.0.0", 1, ("https://registry.example",)),
        "c": ("2.0.0", 0, ("git+ssh://git.example/c.git",)),
    }
    assert names("package.json", '{"devDependencies": {"Left": "^1", "own": "github:me/own"}}') == {
        "left": ("^1", 0, ()),
        "own": ("github:me/own", 0, ("github:me/own",)),
    }
    assert names("setup.cfg", "[options]\ninstall_requires =\n    one>=1\n    # two\n") == {"one": (">=1", 0, ())}
    assert names("Cargo.toml", '[dependencies]\nserde = "1"\nown = {path = "../own"}\n') == {
        "serde": ("1", 0, ()),
        "own": ("any version", 0, ("path ../own",)),
    }
    assert names("go.mod", "module x\nrequire (\n\tgit.example/y v1.2.0\n)\n") == {"git.example/y": ("v1.2.0", 0, ())}
    assert names("Pipfile", '[packages]\none = "*"\n') == {"one": ("any version", 0, ())}
    pipfile_lock = json.dumps({"default": {"one": {"version": "==1.0", "hashes": [ONE]}}, "_meta": {"sources": []}})
    assert names("Pipfile.lock", pipfile_lock) == {"one": ("==1.0", 1, ())}


def test_requirements_are_a_lock_only_with_digests() -> None:
    """The same name is used for what is wanted and for what is taken; options say from where."""
    text = f"--extra-index-url https://index.example/x\none==1.0 \\\n    --hash={ONE} # why\n-e ../own\n"
    listing = read_manifest("requirements/dev.txt", text.encode())
    assert listing.locked
    assert listing.taken["one"].digests == {ONE}
    assert listing.sources == {"--extra-index-url https://index.example/x", "-e ../own"}
    assert not read_manifest("requirements.txt", b"one==1.0\n").locked
    assert not is_manifest("notes.txt")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("uv.lock", "[[package]\n"),
        ("package.json", "[]"),
        ("package-lock.json", "{}"),
        ("requirements.txt", "one == = 2\n"),
        ("pyproject.toml", "project = 1\n"),
        ("poetry.lock", "[[package]]\nversion = '1'\n"),
        ("package.json", '{"dependencies": {"a": ' + '{"b": ' * 5000),
    ],
)
def test_what_cannot_be_read_is_said(path: str, text: str) -> None:
    """A broken file is neither empty nor an error of assay's."""
    with pytest.raises(Unread):
        read_manifest(path, text.encode())
    found = examine({}, {path: text})
    assert [flag.kind for flag in found.flags] == ["dependency-unread"]


def test_an_empty_file_and_none_say_the_same() -> None:
    """So that a file which comes or goes is compared with nothing."""
    assert read_manifest("uv.lock", b"") == Listing()
    assert canonical("Foo_Bar[x]>=1") == "foo-bar"
    assert canonical("@A/b") == "@a/b"


def test_everything_that_differs_is_told() -> None:
    """What comes, goes, is another version or another file, is open, and comes from elsewhere."""
    before = f"one==1.0 --hash={ONE}\ntwo==1.0 --hash={ONE}\nthree==1.0 --hash={ONE}\n"
    after = (
        f"--index-url https://evil.example\none==2.0\ntwo==1.0 --hash={TWO}\nfour>=1\nfive @ https://x.example/f.whl\n"
    )
    found = examine({"requirements.lock": before}, {"requirements.lock": after})
    assert told(found) == [
        "source everything may be taken from --index-url https://evil.example",
        "source five comes from https://x.example",
        "added five comes in: any version",
        "added four comes in: >=1",
        "unpinned five is not pinned: any version",
        "unpinned four is not pinned: >=1",
        "changed one: ==1.0 becomes ==2.0",
        "changed two ==1.0 has other digests: it is another file",
        "removed three goes",
    ]
    assert found.lock == "requirements.lock"
    assert found.unhashed == ("five", "four", "one")


def test_the_sandboxes_own_lock_file_may_have_any_name() -> None:
    """Then it is pip's requirements, as where layers are made."""
    settings = Settings(sandboxes={"default": SandboxProfile(dependencies="./deps/all.lock")})
    found = examine({}, {"deps/all.lock": "one==1.0\n"}, (), settings)
    assert (found.lock, found.unhashed) == ("deps/all.lock", ("one",))
    assert told(found) == ["added one comes in: ==1.0"]
    assert [one.name for one in found.undeclared] == ["one"]
    assert examine({}, {"deps/all.lock": "one==1.0\n"}).files == (), "no other file of that name is one of dependencies"


def test_a_lock_without_digests_is_told() -> None:
    """Of each that is new; what was there before is not blamed on the change."""
    package = '[[package]]\nname = "{}"\nversion = "1.0"\n'
    found = examine(
        {"poetry.lock": package.format("old")}, {"poetry.lock": package.format("old") + package.format("new")}
    )
    assert told(found) == ["added new comes in: 1.0", "without-hashes new 1.0 has no digest"]


def test_what_says_the_same_is_no_change() -> None:
    """Another order, a comment, another setting; only of the sandboxes' own lock file each byte counts."""
    assert examine({"requirements.txt": "b==1\na==1\n"}, {"requirements.txt": "# sorted\na==1\nb==1\n"}).files == ()
    assert examine({"pyproject.toml": PYPROJECT}, {"pyproject.toml": PYPROJECT + "[tool.x]\ny = 1\n"}).files == ()
    assert examine({"requirements.lock": "a==1\n"}, {"requirements.lock": "# x\na==1\n"}).lock == "requirements.lock"
    assert examine({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}) == Dependencies()


def test_images_are_told() -> None:
    """What a Dockerfile builds upon and what assay.toml names; what else they say is no dependency."""
    found = examine({"Dockerfile": "FROM debian:12 AS a\nENV x=1\n"}, {"Dockerfile": "FROM debian:13 AS a\nENV x=2\n"})
    assert told(found) == ["image FROM 1: debian:12 becomes debian:13; the proof uses what the base says"]
    assert examine({"Dockerfile": "FROM a\nENV x=1\n"}, {"Dockerfile": "FROM a\nENV x=2\n"}).files == ()
    settings = '[sandboxes.default]\nimage = "{}"\nwarm = 1\n'
    found = examine({"assay.toml": settings.format("python")}, {"assay.toml": settings.format("own")})
    assert [flag.kind for flag in found.flags] == ["dependency-image"]


def test_a_file_of_an_unknown_kind_is_named() -> None:
    """A lock file that nothing here reads, and a program that may ask for anything."""
    found = examine({}, {"yarn.lock": "x\n", "setup.py": "setup(install_requires=['x'])\n"})
    assert [(flag.kind, flag.path) for flag in found.flags] == [
        ("dependency-unread", "setup.py"),
        ("dependency-unread", "yarn.lock"),
    ]


@pytest.mark.parametrize(
    ("named", "undeclared"),
    [(None, []), ((), ["attrs", "urllib"]), (("Attrs>=1",), []), (("else",), ["attrs"])],
)
def test_a_claim_is_held_to_what_it_calls_new(named: tuple[str, ...] | None, undeclared: list[str]) -> None:
    """Nothing is said: nothing is held against it. What only a lock file adds comes with what is named."""
    before = {"pyproject.toml": "", "uv.lock": ""}
    lock = '[[package]]\nname = "{}"\nversion = "1"\n'
    after = {
        "pyproject.toml": '[project]\ndependencies = ["attrs"]\n',
        "uv.lock": lock.format("attrs") + lock.format("urllib"),
    }
    found = examine(before, after, named)
    assert sorted({one.name for one in found.undeclared}) == undeclared


def test_what_another_file_of_the_base_names_is_not_new() -> None:
    """A dependency that moves from one list to another."""
    found = examine(
        {"requirements-dev.txt": "attrs==1\n", "requirements.txt": ""}, {"requirements.txt": "attrs==1\n"}, ()
    )
    assert found.undeclared == ()
    assert "added attrs comes in: ==1" in told(found)


_WANTS = '[project]\nname = "Shop"\ndependencies = ["attrs"]\n'
_CRATE = '[[package]]\nname = "{}"\nversion = "1.0.0"\n'
_TAKEN_CRATE = _CRATE + 'source = "registry+https://index.example/x"\nchecksum = "1"\n'


def _npm(**packages: object) -> str:
    return json.dumps({"packages": {path.replace("__", "/"): one for path, one in packages.items()}})


@pytest.mark.parametrize(
    ("before", "after", "undeclared"),
    [
        (
            {"pyproject.toml": _WANTS},
            {"pyproject.toml": _WANTS + '[project.optional-dependencies]\na = ["evil"]\nall = ["shop[a]"]\n'},
            ["evil"],
        ),
        (
            {"pyproject.toml": '[tool.poetry]\nname = "shop"\n'},
            {"pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\nshop = "*"\nevil = "1"\n'},
            ["evil"],
        ),
        (
            {"pyproject.toml": ""},
            {"pyproject.toml": '[project]\nname = "shop"\ndependencies = ["evil"]\n[tool.poetry]\nname = "evil"\n'},
            ["evil"],
        ),
        (
            {"Cargo.lock": _TAKEN_CRATE.format("serde")},
            {"Cargo.lock": _TAKEN_CRATE.format("serde") + _CRATE.format("member") + _TAKEN_CRATE.format("evil")},
            ["evil"],
        ),
        (
            {"package-lock.json": _npm(node_modules__c={"version": "1"})},
            {
                "package-lock.json": _npm(
                    node_modules__c={"version": "1"},
                    packages__foo={"version": "1"},
                    packages__foo__node_modules__evil={"version": "1"},
                )
            },
            ["evil"],
        ),
        ({"pyproject.toml": _WANTS}, {"pyproject.toml": _WANTS, "uv.lock": _CRATE.format("six")}, []),
        ({}, {"uv.lock": _CRATE.format("evil")}, ["evil"]),
        (
            {"pyproject.toml": _WANTS},
            {"pyproject.toml": _WANTS, "requirements.lock": f"six==1 --hash={ONE}\n"},
            [],
        ),
        ({"pyproject.toml": _WANTS}, {"pyproject.toml": _WANTS, "requirements.txt": "evil==1\n"}, ["evil"]),
    ],
)
def test_the_projects_own_packages_are_no_dependencies(
    before: dict[str, str], after: dict[str, str], undeclared: list[str]
) -> None:
    """Its own name, members of its workspace, and what a first lock file lists; what else comes in beside is told."""
    assert [one.name for one in examine(before, after, ()).undeclared] == undeclared


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "requirements.txt",
            "--extra-index-url https://me:{}@index.test/simple\nx @ git+https://me:{}@git.test/x@v1\n",
        ),
        ("requirements.txt", "https://me:{}@files.test/x.whl?private_token={}\n"),
        ("requirements.txt", "x @ @ https://me:{}@files.test/" + "x" * 80 + "\n"),
        ("package.json", '{{"dependencies": {{"x": "git+https:\\/\\/me:{}@git.test/x.git"}}}}'),
        ("uv.lock", '[[package]]\nname = "x"\nversion = "1"\nsource = {{ git = "https://me:{}@git.test/x" }}\n'),
        ("Dockerfile", "FROM a\nRUN pip install --index-url https://me:{}@index.test/simple x\n"),
    ],
)
def test_credentials_in_addresses_are_not_told(path: str, text: str) -> None:
    """What is told of a file holds the address without who may use it, and a new credential is no new source."""
    before, after = (
        {path: text.replace("{}", word).replace("{{", "{").replace("}}", "}")} for word in ("h1dd3n", "n3w0ne")
    )
    found = examine({}, after)
    assert found.flags
    assert "n3w0ne" not in found.model_dump_json()
    if "@ @" not in text:
        assert "n3w0ne" not in examine(before, after).model_dump_json()
