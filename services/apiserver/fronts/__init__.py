"""How the API server is asked: one front for each protocol, all over the same registry."""
