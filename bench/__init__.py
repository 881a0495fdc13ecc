"""The benchmark: how long the node waits for answers, and what the plugin costs the operator."""
