"""The edge towards the node: the only part, beside the simulated node, that speaks Cap'n Proto."""
