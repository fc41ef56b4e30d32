"""What a person reads at the end: one HTML file per run."""
