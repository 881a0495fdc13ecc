"""A simulated Bitcoin node, which behaves like a real one as far as a client on its socket can tell."""
