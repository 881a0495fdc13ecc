"""A simulated Bitcoin node: as much of a real one as a subscriber can see."""
