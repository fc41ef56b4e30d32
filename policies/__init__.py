"""What is allowed: settings, tool rules, paths, budgets. Pure rules."""
