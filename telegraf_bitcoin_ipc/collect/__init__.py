"""What the metrics mean: values, counters, events, polls. No event loop, no clock, no socket."""
