"""What is kept: the bare git store, the ledger, transcripts, blobs."""
