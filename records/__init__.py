"""The nouns that all rooms share: frozen, closed, and without I/O."""
