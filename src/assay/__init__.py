"""assay: agents claim, assay proves, people sign.

Everything here is imported when it is first used, so that `import assay` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.agents.protocol import Advance, Exhausted, Finished, NeedsDecision, RoleAgent, Roles, RoleTask
    from assay.app.checks import Change, check
    from assay.app.configuration import Around, policy_for
    from assay.app.deciders import Decider, FileDecider
    from assay.app.service import Assay
    from assay.app.wiring import House, open_house
    from assay.errors import AssayError
    from assay.evidence.protocol import Case, Prover, TrustedTests
    from assay.graph.build import build_graph
    from assay.graph.services import Services
    from assay.policies.layers import Layer
    from assay.policies.loading import Policy, combine_layers, parse_settings, read_layer
    from assay.policies.settings import Settings
    from assay.records.claims import Claim, ClaimDraft, ClaimKind
    from assay.records.decisions import Decision, DecisionType, Question
    from assay.records.plans import Plan, Requirement, Unit
    from assay.records.runs import RunStatus, RunSummary
    from assay.records.tickets import Ticket
    from assay.records.verdicts import Verdict, VerdictStatus
    from assay.sandboxes.protocol import Sandbox, SandboxProvider
    from assay.tickets.reading import read_ticket

_HOMES = {
    "Advance": "assay.agents.protocol",
    "Around": "assay.app.configuration",
    "Assay": "assay.app.service",
    "AssayError": "assay.errors",
    "Case": "assay.evidence.protocol",
    "Change": "assay.app.checks",
    "Claim": "assay.records.claims",
    "ClaimDraft": "assay.records.claims",
    "ClaimKind": "assay.records.claims",
    "Decider": "assay.app.deciders",
    "Decision": "assay.records.decisions",
    "DecisionType": "assay.records.decisions",
    "Exhausted": "assay.agents.protocol",
    "FileDecider": "assay.app.deciders",
    "Finished": "assay.agents.protocol",
    "House": "assay.app.wiring",
    "Layer": "assay.policies.layers",
    "NeedsDecision": "assay.agents.protocol",
    "Plan": "assay.records.plans",
    "Policy": "assay.policies.loading",
    "Prover": "assay.evidence.protocol",
    "Question": "assay.records.decisions",
    "Requirement": "assay.records.plans",
    "RoleAgent": "assay.agents.protocol",
    "RoleTask": "assay.agents.protocol",
    "Roles": "assay.agents.protocol",
    "RunStatus": "assay.records.runs",
    "RunSummary": "assay.records.runs",
    "Sandbox": "assay.sandboxes.protocol",
    "SandboxProvider": "assay.sandboxes.protocol",
    "Services": "assay.graph.services",
    "Settings": "assay.policies.settings",
    "Ticket": "assay.records.tickets",
    "TrustedTests": "assay.evidence.protocol",
    "Unit": "assay.records.plans",
    "Verdict": "assay.records.verdicts",
    "VerdictStatus": "assay.records.verdicts",
    "build_graph": "assay.graph.build",
    "check": "assay.app.checks",
    "combine_layers": "assay.policies.loading",
    "open_house": "assay.app.wiring",
    "parse_settings": "assay.policies.loading",
    "policy_for": "assay.app.configuration",
    "read_layer": "assay.policies.loading",
    "read_ticket": "assay.tickets.reading",
}

__all__ = [
    "Advance",
    "Around",
    "Assay",
    "AssayError",
    "Case",
    "Change",
    "Claim",
    "ClaimDraft",
    "ClaimKind",
    "Decider",
    "Decision",
    "DecisionType",
    "Exhausted",
    "FileDecider",
    "Finished",
    "House",
    "Layer",
    "NeedsDecision",
    "Plan",
    "Policy",
    "Prover",
    "Question",
    "Requirement",
    "RoleAgent",
    "RoleTask",
    "Roles",
    "RunStatus",
    "RunSummary",
    "Sandbox",
    "SandboxProvider",
    "Services",
    "Settings",
    "Ticket",
    "TrustedTests",
    "Unit",
    "Verdict",
    "VerdictStatus",
    "build_graph",
    "check",
    "combine_layers",
    "open_house",
    "parse_settings",
    "policy_for",
    "read_layer",
    "read_ticket",
]


def __getattr__(name: str) -> object:
    """Import a public name from its home, once (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
