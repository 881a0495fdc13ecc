"""The benchmark: what a node feels, and what an operator pays."""
