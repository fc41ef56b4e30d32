"""The conformance suite of sandboxes: one set of cases that every provider passes, fakes and the host's included."""

from assay.sandboxes.conformance.cases import Case, Failed, Outcome, Passed, Unsupported
from assay.sandboxes.conformance.suite import cases, check_all, check_case

__all__ = ["Case", "Failed", "Outcome", "Passed", "Unsupported", "cases", "check_all", "check_case"]
