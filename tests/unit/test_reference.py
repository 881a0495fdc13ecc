"""METRICS.md: what is documented is what the catalogue says."""

import re
from pathlib import Path

from telegraf_bitcoin_ipc.metrics import CATALOGUE, GROUPS
from telegraf_bitcoin_ipc.reference import markdown

DOCUMENT = Path(__file__).parents[2] / "METRICS.md"


def test_document_is_up_to_date() -> None:
    """Who reads METRICS.md reads about this version (`telegraf-bitcoin-ipc metrics > METRICS.md`)."""
    assert DOCUMENT.read_text() == markdown()


def test_every_metric_is_in_it() -> None:
    """Each metric has one row with its type, its tags, its source and its help, in its group's table."""
    sections = re.split(r"^## (\w+) .*$", markdown(), flags=re.MULTILINE)[1:]
    assert sections[::2] == list(GROUPS)
    for group, text in zip(sections[::2], sections[1::2], strict=True):
        rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", text, re.M)]
        assert rows[:2] == [["metric", "type", "tags", "source", "meaning"], ["---"] * 5]
        metrics = [metric for metric in CATALOGUE if metric.group == group]
        for metric, (name, kind, tags, source, meaning) in zip(metrics, rows[2:], strict=True):
            assert (name, kind) == (f"`bitcoin_{metric.name}`", metric.type)
            assert re.findall(r"`(\w+)`", tags) == list(metric.tags)
            assert tags.partition(": ")[2] == ", ".join(metric.values)
            assert (source, meaning) == (metric.source, metric.help)


def test_it_says_which_groups_are_always_on() -> None:
    """The reader learns how to get the metrics of a group."""
    text = markdown()
    assert "## core (always on)" in text
    assert "## plugin (always on)" in text
    assert "## mempool (`--metrics mempool`)" in text
