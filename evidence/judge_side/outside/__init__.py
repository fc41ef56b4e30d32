"""Programs that run inside sandboxes where the judge stands outside (S9); see `assay.evidence.relay`."""
