"""What is run where no `assay.toml` says it, and what an `assay.toml` may say of other runners."""

from __future__ import annotations

import json
import tomllib

import pytest

from assay.errors import ConfigurationError
from assay.policies.inference import infer_settings, node_arguments
from assay.policies.loading import default_settings, parse_settings
from assay.policies.proposals import propose_settings


def manifest(script: object) -> str:
    """Return a package.json with this test script."""
    return json.dumps({"name": "x", "scripts": {"test": script}})


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("node --test", ()),
        ("node --test tests/", ("tests/",)),
        ("node --import=./hook.mjs --test --test-reporter=dot 'checks/*.js'", ("--import=./hook.mjs", "checks/*.js")),
        ("npm run lint && node --test", ()),
        ("mocha", None),
        ("node test.js", None),
        ("node --test | tee log", None),
        ("node --test 'open", None),
        (3, None),
    ],
)
def test_what_a_test_script_says(script: object, arguments: tuple[str, ...] | None) -> None:
    """`node --test` with what is added to it; anything else is not understood."""
    assert node_arguments(manifest(script)) == arguments


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scripts": null}', "[" * 100_000])
def test_manifests_that_say_nothing(text: str) -> None:
    """They are no mistake of anybody's: pytest is what is left."""
    assert infer_settings(["a.js"], text) == default_settings()


def test_node_is_chosen_only_where_nothing_speaks_for_pytest() -> None:
    """A JavaScript repository needs no configuration; one with Python tests is what it was."""
    found = infer_settings(["package.json", "test/a.test.js"], manifest("node --test"))
    assert (found.project.runner, found.sandbox("default").image) == ("node", "node")
    assert set(found.agents) == set(default_settings().agents)
    assert infer_settings(["package.json", "tests/test_a.py"], manifest("node --test")) == default_settings()


def test_what_the_script_names_are_tests() -> None:
    """A folder or pattern of the script is no program, on either way to the settings."""
    script = manifest("node --import ./hook.mjs --test ./checks/ spec/*.mjs ../x.js")
    found = infer_settings(["package.json"], script).paths.tests
    assert found[-2:] == ("/checks/", "/spec/*.mjs")
    document = tomllib.loads(propose_settings(["package.json"], {"package.json": script}))
    assert tuple(document["paths"]["tests"]) == found
    assert infer_settings([], manifest("node --test")).paths == default_settings().paths


def test_init_proposes_the_same() -> None:
    """What `assay init` writes is what holds without it."""
    paths, text = ["package.json", "test/a.test.js"], manifest("node --test test/")
    document = tomllib.loads(propose_settings(paths, {"package.json": text}))
    assert document["project"]["runner"] == "node"
    assert document["project"]["test_command"] == ["test/"]
    assert document["sandboxes"]["default"]["image"] == "node"
    other = tomllib.loads(propose_settings(["package.json"], {"package.json": manifest("mocha")}))
    assert (other["project"]["runner"], other["sandboxes"]["default"]["image"]) == ("pytest", "python")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[project]\nrunner = "junit"\nreport = "r.xml"\n', "needs test_command"),
        ('[project]\nrunner = "junit"\ntest_command = ["make"]\n', "needs report"),
        ('[project]\nrunner = "junit"\ntest_command = ["make"]\nreport = "../r.xml"\n', "inside the repository"),
        ('[project]\nrunner = "junit"\ntest_command = ["make"]\nreport = "/etc/r.xml"\n', "or below /tmp"),
        ('[project]\nreport = "r.xml"\n', "report is for the runner 'junit'"),
        ('[project]\nrunner = "node"\n[proof]\nlevel = "B"\n', "cannot be reached with the runner 'node'"),
        ('[project]\nrunner = "mocha"\n', "project.runner must be"),
        ("[proof]\nbudget_seconds = 0\n", "proof.budget_seconds must be"),
    ],
)
def test_settings_of_runners_that_make_no_sense(text: str, message: str) -> None:
    """Each is named by its place."""
    with pytest.raises(ConfigurationError, match=r"assay\.toml:") as caught:
        parse_settings(text, name="assay.toml")
    assert message in caught.value.message


def test_settings_of_runners_that_make_sense() -> None:
    """As the pages show them."""
    text = '[project]\nrunner = "junit"\ntest_command = ["make", "check"]\nreport = "/tmp/out/*.xml"\n'
    assert parse_settings(text, name="assay.toml").project.report == "/tmp/out/*.xml"
    assert parse_settings('[project]\nrunner = "node"\n[proof]\nlevel = "C"\n', name="x").proof.level == "C"
