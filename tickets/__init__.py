"""Where work comes from and goes to: tickets and delivery."""
