"""What is allowed: settings, tool rules, paths, budgets. Pure rules."""

from assay.policies.settings import Settings

__all__ = ["Settings"]
