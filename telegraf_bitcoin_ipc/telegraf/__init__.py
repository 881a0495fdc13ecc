"""Telegraf: its pipes, its line protocol, its configuration."""
