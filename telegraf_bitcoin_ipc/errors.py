"""What can go wrong, by what happens next.

PluginError
 ├── ConfigError       the user's mistake: one sentence, exit status 2
 ├── NodeUnavailable   the session is over, or could not begin: back off and connect again
 │    └── NodeStopping the node is shutting down: leave that process alone, and wait for the next one
 ├── UnsupportedNode   the node offers nothing this program can use: back off slowly
 ├── SessionExpired    the session is over because this program wants another: connect again at once
 └── CallFailed        one call failed: its values are absent, everything else goes on
      ├── NotOffered   the node does not have that method
      ├── NotAnswered  the node has not answered in time: later it may
      ├── ThreadBusy   the node's thread was still at the call before: the next moment it may work
      └── PartlyFailed some of the call's values are there all the same

Each message is a sentence for the log, without a full stop. Anything else is a defect and is not caught.
"""

from collections.abc import Mapping


class PluginError(Exception):
    """Base of the errors that this program expects."""


class ConfigError(PluginError):
    """The configuration cannot be used as it is."""


class NodeUnavailable(PluginError):
    """There is no session with the node, or there is none any more."""


class NodeStopping(NodeUnavailable):
    """The node has begun to shut down: a call could now abort it."""

    def __init__(self) -> None:
        """Say so; there is nothing more to say."""
        super().__init__("the node is stopping")


class UnsupportedNode(PluginError):
    """The node answers, but has no interface this program serves."""


class SessionExpired(PluginError):
    """The session was good enough for a while only: a new one may be better."""


class CallFailed(PluginError):
    """The node did not give a usable answer to one call."""


class NotOffered(CallFailed):
    """The node does not implement the method that was called."""


class NotAnswered(CallFailed):
    """The node has not answered this call, or the one before it, in time."""


class ThreadBusy(CallFailed):
    """The node refused this call, because its thread had not finished the one before it."""


class PartlyFailed(CallFailed):
    """The node gave a usable answer to a part of one call: `values` by metric are what it gave."""

    def __init__(self, message: str, values: Mapping[str, object]) -> None:
        """Say what failed, and keep what did not."""
        super().__init__(message)
        self.values = values
