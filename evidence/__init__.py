"""What is true: claims, checks, evidence, verdicts."""
