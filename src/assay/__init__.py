"""assay: agents claim, assay proves, people sign."""
