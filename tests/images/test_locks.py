"""Lock files as data: what each format pins for an interpreter, and what none may say."""

from __future__ import annotations

import pytest

from assay.errors import ConfigurationError
from assay.sandboxes.images.locks import Pin, read_lock_file

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
LINUX = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.2",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6",
    "platform_system": "Linux",
    "platform_version": "1",
    "python_full_version": "3.11.2",
    "python_version": "3.11",
    "sys_platform": "linux",
}
WANTED = (Pin(name="left-pad", version="1.0", hashes=(A, B)), Pin(name="right", version="2.1", hashes=(A,)))

REQUIREMENTS = f"""
# written by a tool
--require-hashes
Left_Pad==1.0 \\
    --hash={A} \\
    --hash={B}   # why
right[fast]==2.1 ; python_version >= "3.8" --hash={A}
colorama==0.4 ; sys_platform == "win32" --hash={B}
"""
UV = f"""
version = 1
[[package]]
name = "project"
version = "0"
source = {{ virtual = "." }}
dependencies = [{{ name = "left-pad" }}, {{ name = "colorama", marker = "sys_platform == 'win32'" }}]
[package.dev-dependencies]
dev = [{{ name = "right", extra = ["fast"] }}]
[[package]]
name = "left-pad"
version = "1.0"
source = {{ registry = "https://elsewhere.example/simple" }}
wheels = [{{ url = "https://elsewhere.example/x.whl", hash = "{A}" }}, {{ url = "y", hash = "{B}" }}]
[[package]]
name = "right"
version = "2.1"
source = {{ registry = "https://elsewhere.example/simple" }}
wheels = [{{ url = "z", hash = "{A}" }}]
[package.optional-dependencies]
fast = [{{ name = "left-pad" }}]
slow = [{{ name = "unwanted" }}]
[[package]]
name = "unwanted"
version = "9"
source = {{ registry = "https://elsewhere.example/simple" }}
wheels = []
[[package]]
name = "colorama"
version = "0.4"
source = {{ registry = "https://elsewhere.example/simple" }}
"""
POETRY = f"""
[[package]]
name = "Left-Pad"
version = "1.0"
optional = false
files = [{{ file = "x.whl", hash = "{A}" }}, {{ file = "x.tar.gz", hash = "{B}" }}]
[[package]]
name = "right"
version = "2.1"
optional = false
markers = "python_version >= \\"3.8\\""
files = [{{ file = "y.whl", hash = "{A}" }}]
[[package]]
name = "colorama"
version = "0.4"
optional = false
markers = "sys_platform == \\"win32\\""
files = []
[[package]]
name = "unwanted"
version = "1"
optional = true
files = []
"""
PYLOCK = f"""
lock-version = "1.0"
created-by = "a tool"
[[packages]]
name = "left-pad"
version = "1.0"
wheels = [
    {{ name = "x.whl", hashes = {{ sha256 = "{"a" * 64}" }} }},
    {{ name = "y.whl", hashes = {{ sha256 = "{"b" * 64}", md5 = "1" }} }},
]
[[packages]]
name = "right"
version = "2.1"
marker = "'dev' in dependency_groups"
wheels = [{{ name = "z.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}]
[[packages]]
name = "unwanted"
version = "1"
marker = "'docs' in extras"
wheels = []
"""


@pytest.mark.parametrize(
    ("path", "text"),
    [("requirements.txt", REQUIREMENTS), ("a/uv.lock", UV), ("poetry.lock", POETRY), ("pylock.dev.toml", PYLOCK)],
)
def test_every_format_says_the_same(path: str, text: str) -> None:
    """What a marker or an extra leaves out is left out; addresses in a lock file are not read."""
    found = read_lock_file(path, text, LINUX)
    assert [pin.model_copy(update={"extras": ()}) for pin in found] == list(WANTED)
    assert "elsewhere" not in "".join(map(str, found))


def test_a_pin_is_written_as_pip_reads_it() -> None:
    """With each digest that counts, and nothing else of the lock file's text."""
    assert str(WANTED[0]) == f"left-pad==1.0 --hash={A} --hash={B}"


def test_pins_without_digests_are_taken() -> None:
    """Not every project has them; what was installed is in the image's labels with its digests."""
    assert read_lock_file("r.txt", "one==1\ntwo==2.0\n", LINUX) == (
        Pin(name="one", version="1"),
        Pin(name="two", version="2.0"),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url http://elsewhere", "no options"),
        ("-r other.txt", "no options"),
        ("-e .", "no options"),
        ("name @ http://elsewhere/x.whl", "one version"),
        ("name @ file:///etc/passwd", "one version"),
        ("name>=1", "one version"),
        ("name==1.*", "one version"),
        ("name", "one version"),
        ("./name-1.whl", "requirements.txt"),
        ("name==1 --hash=md5:0", "md5:0"),
        ("name==1 --global-option=x", "requirements.txt"),
        ("name==1\nname==2", "twice"),
        (f"name==1 --hash={A}\nother==1", "none for other"),
        ("name==1; nonsense == 3", "requirements.txt"),
        ("$(id)==1", "requirements.txt"),
        ("name==1; os_name ~= 'x'", "'posix' and 'x'"),
        ("name==1; 'x' in dependency_groups", "dependency_groups"),
        (f"name==1; {'(' * 5000}os_name == 'a'{')' * 5000}", "nested"),
    ],
)
def test_what_a_lock_file_may_not_say(line: str, said: str) -> None:
    """It names versions; where they come from is for the machine to say."""
    with pytest.raises(ConfigurationError, match=r"requirements\.txt") as caught:
        read_lock_file("requirements.txt", line, LINUX)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("uv.lock", "]"),
        ("uv.lock", ""),
        ("uv.lock", UV.replace('{ registry = "https://elsewhere.example/simple" }', '{ git = "https://x" }')),
        ("uv.lock", "package = 3"),
        ("poetry.lock", '[[package]]\nname = "x"\nversion = "1"\n[package.source]\ntype = "git"\n'),
        ("poetry.lock", '[[package]]\nname = "x"'),
        ("poetry.lock", '[[package]]\nname = "-x-"\nversion = "1"\nfiles = []'),
        ("poetry.lock", f"x = {'[' * 5000}{']' * 5000}"),
        (
            "uv.lock",
            '[[package]]\nname = "p"\nsource = { virtual = "." }\ndependencies = [{ name = "q" }]\n'
            '[[package]]\nname = "q"\nversion = "1"\nsource = {}\n',
        ),
        ("pylock.toml", 'lock-version = "2.0"'),
        ("pylock.toml", '[[packages]]\nname = "x"'),
        ("pylock.toml", 'lock-version = "1.0"\n[[packages]]\nname = "x"\narchive = {}'),
    ],
)
def test_what_is_no_lock_file_is_named(path: str, text: str) -> None:
    """Damaged, of an unknown version, or with sources other than an index: an error that names the file."""
    with pytest.raises(ConfigurationError, match=f"the lock file {path}"):
        read_lock_file(path, text, LINUX)
