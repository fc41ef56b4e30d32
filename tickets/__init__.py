"""Where work comes from and goes to."""
