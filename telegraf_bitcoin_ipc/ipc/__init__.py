"""The interface to the node: the only part, besides the simulated node, that speaks Cap'n Proto."""
