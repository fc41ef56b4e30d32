"""What the host knows of a tree, and what it sends to change it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import SandboxRefused
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id
from assay.sandboxes.trees import Change, TreeView, check_entries, check_links

NAMES = st.sampled_from(["a", "b", "c", "a.b", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CONTENTS = st.integers(0, 3).map(lambda number: TreeFile(REGULAR, blob_id(bytes([number]))))


def is_possible(tree: Tree) -> bool:
    """Whether no file of the tree is a directory of it, too."""
    return not any(path.startswith(other + "/") for path in tree for other in tree)


TREES = st.dictionaries(PATHS, CONTENTS, max_size=8).filter(is_possible)


def line(path: str, kind: str = "f", size: int = 1, stamp: int = 0) -> bytes:
    """Return the line of a listing."""
    return f"{kind} 644 {size} {stamp} {stamp} 7 {path}".encode()


def folder(path: str) -> bytes:
    """Return the line of a directory."""
    return b"d 0 0 0 0 0 " + path.encode()


def view_of(files: Tree, extra: tuple[str, ...]) -> TreeView:
    """Return what the host knows after a listing: files of known content, and others of unknown content."""
    view = TreeView()
    directories = {
        "/".join(parts[:length])
        for parts in (path.split("/") for path in (*files, *extra))
        for length in range(1, len(parts))
    }
    view.update([b"*", *(line(path) for path in (*files, *extra)), *map(folder, directories)], 1)
    for path, file in files.items():
        view.learn(line(path), file, None)
    return view


def carry_out(change: Change, before: dict[str, TreeFile | None], tree: Tree) -> dict[str, TreeFile | None]:
    """Do to a model of a file system what the supervisor does."""
    files = dict(before)
    for path in (*change.remove, *change.write):
        files = {other: file for other, file in files.items() if other != path and not other.startswith(path + "/")}
        if path in change.write:
            assert not any(path.startswith(other + "/") for other in files), "a file stands where a directory must be"
            files[path] = tree[path]
    return files


@settings(max_examples=300, deadline=None)
@given(before=TREES, left=st.lists(PATHS, max_size=3), after=TREES)
def test_a_change_leads_to_the_tree(before: Tree, left: list[str], after: Tree) -> None:
    """Whatever is there, carrying out the change leaves exactly the tree."""
    extra = tuple({path for path in left if path not in before and is_possible({**before, **dict.fromkeys(left)})})  # type: ignore[dict-item]
    view = view_of(before, extra)
    change = Change.between(view, after)
    assert carry_out(change, {**before, **dict.fromkeys(extra)}, after) == after


@settings(max_examples=100, deadline=None)
@given(tree=TREES)
def test_nothing_travels_for_the_same_tree(tree: Tree) -> None:
    """Where the tree is there already, nothing is to be done."""
    change = Change.between(view_of(tree, ()), tree)
    assert (change.remove, change.write) == ((), ())


def test_only_what_changed_is_written() -> None:
    """One changed file among many is the only one that travels."""
    before = {f"d/{number}": TreeFile(REGULAR, blob_id(b"x")) for number in range(100)}
    after = before | {"d/7": TreeFile(REGULAR, blob_id(b"y"))}
    assert Change.between(view_of(before, ()), after).write == ("d/7",)


def test_a_listing_tells_what_changed() -> None:
    """A file with another stamp is looked at again, one that is gone is forgotten, the others stay known."""
    files = {"a": TreeFile(REGULAR, blob_id(b"a")), "b": TreeFile(REGULAR, blob_id(b"b"))}
    view = view_of(files, ())
    view.update([b"*", line("a"), line("c"), line("b", stamp=1)], 2)
    assert dict(view.tree()) == {"a": files["a"]}
    assert set(view.unknown) == {"b", "c"}
    view.update([b"*", line("c")], 3)
    assert dict(view.tree()) == {}
    assert set(view.lines) == {"c"}


def test_a_listing_of_differences_is_as_good() -> None:
    """What is not named stays; what is named is looked at again, unless it was put just so."""
    files = {"a": TreeFile(REGULAR, blob_id(b"a")), "d/b": TreeFile(REGULAR, blob_id(b"b"))}
    view = view_of(files, ())
    view.place(line("a", stamp=5), files["a"], None)
    assert view.touched == {"a"}
    view.update([b"~", line("a", stamp=5), line("c"), b"-d/b", b"-d"], 2)
    assert (dict(view.tree()), set(view.unknown), view.directories) == ({"a": files["a"]}, {"c"}, set())
    assert (view.touched, view.number) == (set(), 2)


LINK_PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", ".", "..", ""]), min_size=1, max_size=4).map("/".join).filter(bool)


def escapes(root: Path, link: Path) -> bool:
    """Whether following the link step by step, as the kernel does, ever stands outside the root."""
    place, ahead, hops = link.parent, [link.name], 0
    while ahead:
        step = ahead.pop(0)
        if step in ("", "."):
            continue
        place = place.parent if step == ".." else place / step
        if not place.is_relative_to(root):
            return True
        if place.is_symlink():
            hops += 1
            if hops > 40:
                return False
            target = str(place.readlink())
            if target.startswith("/"):
                return True
            ahead = target.split("/") + ahead
            place = place.parent
    return False


@settings(max_examples=300, deadline=None)
@given(links=st.dictionaries(LINK_PATHS, TARGETS, min_size=1, max_size=4))
def test_links_are_followed_as_the_kernel_does(links: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A set of links is refused exactly when one of them, really made, leads outside."""
    if any(path.startswith(other + "/") for path in links for other in links):
        return
    root = tmp_path_factory.mktemp("links") / "root"
    for path, target in links.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    if any(escapes(root, root / path) for path in links):
        with pytest.raises(SandboxRefused, match="leaves the tree"):
            check_links(links)
    else:
        check_links(links)


@pytest.mark.parametrize(
    ("kind", "word"), [("p", "FIFO"), ("s", "socket"), ("b", "block device"), ("c", "character device")]
)
def test_special_files_are_refused(kind: str, word: str) -> None:
    """What is no file is refused, with its name and what it is."""
    with pytest.raises(SandboxRefused, match=f"'x' is a {word}"):
        check_entries([line("x", kind)], 10)


def test_more_bytes_than_there_is_room_are_refused() -> None:
    """Files that together are larger than the file system can only be sparse or linked."""
    check_entries([line("a", size=5), line("b", size=5)], 10)
    with pytest.raises(SandboxRefused, match="'b' is sparse"):
        check_entries([line("a", size=5), line("b", size=6)], 10)
