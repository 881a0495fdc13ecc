"""Sets up a standing guard and Telegraf for the node of this machine, and takes it back."""
