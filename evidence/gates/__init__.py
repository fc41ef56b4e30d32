"""The policy's gates: rules over a whole change, each comparing it with its base."""

from assay.evidence.gates.keeper import PolicyGates
from assay.evidence.gates.tools import check_tools

__all__ = ["PolicyGates", "check_tools"]
