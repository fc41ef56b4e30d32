"""The public surface is pinned: a name that goes, comes or moves is a decision and not an accident."""

from __future__ import annotations

import subprocess
import sys

import assay

NAMES = """
Advance Around Assay AssayError Case Change Claim ClaimDraft ClaimKind Decider Decision DecisionType Exhausted
FileDecider Finished House Layer NeedsDecision Plan Policy Prover Question Requirement RoleAgent RoleTask Roles
RunStatus RunSummary Sandbox SandboxProvider Services Settings Ticket TrustedTests Unit Verdict VerdictStatus
build_graph check combine_layers open_house parse_settings policy_for read_layer read_ticket
"""


def test_the_public_names_are_these() -> None:
    """Listed here by hand, each can be had, and `dir` shows them."""
    assert sorted(assay.__all__) == sorted(NAMES.split()) == dir(assay)
    for name in assay.__all__:
        assert getattr(assay, name) is not None


def test_there_are_no_others() -> None:
    """An unknown name is an AttributeError, as everywhere."""
    assert not hasattr(assay, "Nonsense")


def test_import_brings_nothing_heavy() -> None:
    """`import assay`, and the command line's help, load neither LangGraph nor a model client nor Docker."""
    code = (
        "import sys, assay, assay.cli.main; "
        "heavy = {'langgraph', 'langchain', 'langchain_core', 'docker', 'git', 'pydantic'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
