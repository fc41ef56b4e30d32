"""The wiring, and the application service that every face uses."""
