"""Row: the plugin itself: do polls succeed, and do all events and lines arrive?"""

from typing import Final

from dashboards.panels import Panel, graph, words
from dashboards.queries import age, increase, value

PANELS: Final[tuple[Panel, ...]] = (
    graph(
        "Polls per hour",
        {"polls": f"changes({value('last_poll_timestamp_seconds')}[1h])"},
        width=6,
        note="60 with the default interval; fewer in the first hour.",
    ),
    graph("Duration of a poll", {"poll": "poll_duration_seconds"}, "s", width=6),
    graph("Failed polls by method", {"{{method}}": increase("poll_errors_total")}, width=6, bars=True),
    graph(
        "Age of the data over time",
        {"last poll": age("last_poll_timestamp_seconds")},
        "s",
        width=6,
        steps={180: "red"},
        least=None,
    ),
    graph(
        "Dropped and refused",
        {
            "events dropped": increase("events_dropped_total"),
            "lines dropped": increase("lines_dropped_total"),
            "calls refused by the guard": increase("guard_refused_calls_total"),
        },
        width=6,
        bars=True,
        note="The other panels lack whatever is dropped or refused here.",
    ),
    graph(
        "Sessions",
        {"opened": increase("connects_total"), "node up": "up", "behind a standing guard": "guard_standing"},
        width=6,
        decimals=0,
        note="More than one session means that the node restarted, or the connection was lost.",
    ),
    graph(
        "Subscriptions",
        {"{{subscription}}": "subscription_active"},
        width=6,
        most=1,
        decimals=0,
        nothing="the node's dialect has no subscriptions",
    ),
    words("Plugin version", "plugin_info", "{{version}} {{node}} {{instance}}", width=6),
)
