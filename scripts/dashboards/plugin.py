"""Row: the plugin itself: does it see everything, and does all of it arrive?"""

from dashboards.panels import Panel, Row, graph, words
from dashboards.queries import age, increase, value


def row() -> Row:
    """Return the row, with new panels."""
    return Row("Plugin", (*_polls(), *_session()))


def _polls() -> tuple[Panel, ...]:
    """Return panels: polls and their data."""
    return (
        graph(
            "Polls per hour",
            {"polls": f"changes({value('last_poll_timestamp_seconds')}[1h])"},
            width=6,
            note="60, with the default interval; fewer in the first hour.",
        ),
        graph("Duration of a poll", {"poll": value("poll_duration_seconds")}, "s", width=6),
        graph(
            "Values that the node did not give", {"{{method}}": increase("poll_errors_total")}, width=6, bars=True
        ),
        graph(
            "Age of the data over time",
            {"last poll": age("last_poll_timestamp_seconds")},
            "s",
            width=6,
            steps={180: "red"},
            least=None,
        ),
    )


def _session() -> tuple[Panel, ...]:
    """Return panels: events and sessions."""
    return (
        graph(
            "Dropped",
            {"events": increase("events_dropped_total"), "lines": increase("lines_dropped_total")},
            width=6,
            bars=True,
            note="Anything above 0 is missing in what the other panels show.",
        ),
        graph(
            "Sessions",
            {"opened": increase("connects_total"), "node up": value("up")},
            width=6,
            decimals=0,
            note="A session more than once means that the node, or the connection, came and went.",
        ),
        graph(
            "Subscriptions",
            {"{{subscription}}": value("subscription_active")},
            width=6,
            most=1,
            decimals=0,
            nothing="the node's dialect has none",
        ),
        words("Plugin's version", value("plugin_info"), "{{version}} {{node}} {{instance}}", width=6),
    )
