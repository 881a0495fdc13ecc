"""The command `parity`: another exporter's page beside this plugin's."""
