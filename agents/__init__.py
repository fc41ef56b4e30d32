"""Who works: roles, prompts, tools, models."""

from assay.agents.protocol import Advance, Exhausted, Finished, NeedsDecision, RoleAgent, Roles, RoleTask

__all__ = ["Advance", "Exhausted", "Finished", "NeedsDecision", "RoleAgent", "RoleTask", "Roles"]
