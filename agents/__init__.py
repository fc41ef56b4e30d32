"""Who works: roles, prompts, tools, models."""
