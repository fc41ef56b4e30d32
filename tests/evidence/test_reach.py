"""What a change can reach by name is known before anything runs; what texts leave open counts as reached."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from assay.evidence.adopt import adopt
from assay.evidence.layout import lay_out
from assay.evidence.reach import Reach, is_unsettled, look, reach_of

from .conftest import Files, World, case

SHOP = {
    "shop/__init__.py": "",
    "shop/near.py": "def f():\n    return 1\n",
    "shop/far.py": "def g():\n    return 2\n",
    "shop/user.py": "from .near import f\n",
    "tests/conftest.py": "import pytest\n",
    "tests/test_near.py": "from shop.near import f\n",
    "tests/test_user.py": "from shop.user import f\n",
    "tests/test_far.py": "from shop.far import g\n\n\ndef test_g():\n    assert g() == 2\n",
}


def reach(
    more: Mapping[str, str] = {}, changed: frozenset[str] = frozenset({"shop/near.py"}), *, unsettled: bool = False
) -> Reach:
    """Return the reach of a change in the shop, with other files beside it or in the place of some."""
    texts = {path: text.encode() for path, text in {**SHOP, **more}.items()}
    program = {path for path in texts if path.startswith("shop/")}
    return reach_of(texts, changed, program=program, shared=["tests/conftest.py", "pytest.ini"], unsettled=unsettled)


def test_what_names_nothing_of_the_change_is_not_reached() -> None:
    """Directly or through others is reached; a test of another module is not. The nearest name the change."""
    found = reach()
    assert "tests/test_far.py" in found.untouched
    assert found.untouched.isdisjoint({"tests/test_near.py", "tests/test_user.py", "shop/near.py", "shop/user.py"})
    assert found.nearest == ("tests/test_near.py",)


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nfrom shop.far import g\n\nM = importlib.import_module('shop.' + 'ne' + 'ar')\n",
        "import subprocess\nfrom shop.far import g\n\nsubprocess.run(['python3', '-m', 'sh' + 'op'])\n",
        "from shop.far import g\n\nSOURCES = __import__('pathlib').Path('.').rglob('*')\n",
        "from unittest import mock\nfrom shop.far import g\n\n\n@mock.patch('shop.near.f')\ndef test(f): ...\n",
        "from shop.far import g\n\nAPPS = ['shop']\n",
        "import shop\nimport shop.far\n\n\ndef test():\n    assert getattr(shop, 'ne' + 'ar')\n",
        "from shop.far import g\nfrom helper import h\n",
        "def test(client):\n    assert client.get('/')\n",
    ],
)
def test_whoever_can_come_to_it_in_another_way_is_reached(text: str) -> None:
    """Loading and starting what is not named, names in texts, packages as a whole, helpers, and no name at all."""
    found = reach({"tests/test_other.py": text, "tests/helper.py": "from shop.user import f as h\n"})
    assert "tests/test_other.py" not in found.untouched
    assert "tests/test_far.py" in found.untouched


@pytest.mark.parametrize(
    ("more", "changed", "unsettled"),
    [
        ({"tests/conftest.py": "from shop.user import f\n"}, frozenset({"shop/near.py"}), False),
        ({"pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.near\n"}, frozenset({"shop/near.py"}), False),
        ({"shop/__init__.py": "from .near import *\n"}, frozenset({"shop/near.py"}), False),
        ({"shop/prices.csv": ""}, frozenset({"shop/near.py", "shop/prices.csv"}), False),
        ({}, frozenset({"shop/near.py"}), True),
    ],
)
def test_what_all_tests_share_reaches_all(more: Mapping[str, str], changed: frozenset[str], unsettled: bool) -> None:
    """Fixtures, settings of the runner, the package itself, data, and what may stand in another module's place."""
    assert not reach(more, changed, unsettled=unsettled).untouched & {"tests/test_far.py"}


def test_modules_that_come_or_go_where_imports_begin_leave_it_open() -> None:
    """A new module or package at the top may be what somebody else's import finds; one inside of a package cannot."""
    assert is_unsettled(["yaml.py"], {"", "src"})
    assert is_unsettled(["src/yaml/__init__.py"], {"", "src"})
    assert not is_unsettled(["shop/new.py", "tests/test_new.py"], {"", "src"})


@pytest.mark.docker
async def test_both_sides_and_the_settings_are_read(world: World) -> None:
    """Who uses it at the base or at the head is reached; of `pyproject.toml` only what it says to pytest counts."""
    files: Files = {**SHOP, "pyproject.toml": '[project]\nname = "shop"\n[tool.pytest.ini_options]\naddopts = "-q"\n'}
    base = await world.commit(files)
    change: Files = {"shop/near.py": "def f():\n    return 3\n", "shop/user.py": "f = 1\n"}
    about = case(base, await world.commit(change, base))
    layout = await lay_out(world.git, world.settings, about, await adopt(world.git, about.claim))
    found = look(layout, world.git.contents, ["shop/near.py"])
    assert "tests/test_far.py" in found.untouched
    assert "tests/test_user.py" not in found.untouched


def test_a_name_that_is_not_looked_for_reaches_all() -> None:
    """A module may be called by letters that are not ASCII, in another form of them even, or by what is no name."""
    for name in ("shop/größe.py", "shop/né/__init__.py", "shop/with-dash.py"):
        assert reach({name: ""}, frozenset({name})) == Reach()
    between = {"shop/größe.py": "from .near import f\n", "tests/test_other.py": "from shop.größe import f\n"}
    assert not reach(between).untouched, "what imports the changed one cannot be found in its turn"
    assert reach({"shop/plain.py": ""}, frozenset({"shop/plain.py"})).untouched
