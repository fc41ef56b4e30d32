"""What is true: claims, checks, evidence, verdicts."""

from assay.evidence.protocol import BlankResult, Case, DoubtResult, Prover, TrustedTests

__all__ = ["BlankResult", "Case", "DoubtResult", "Prover", "TrustedTests"]
