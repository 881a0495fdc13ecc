"""The exception tree, by what happens next.

PluginError
 ├── ConfigError       the user's mistake: one sentence, exit status 2
 ├── NodeUnavailable   no session, or the session is over: back off and reconnect
 │    └── NodeStopping the node is shutting down: do not connect to this process again, wait for the next one
 ├── UnsupportedNode   the node offers no interface that this program supports: back off slowly
 ├── SessionExpired    this program ends the session: reconnect at once
 └── CallFailed        one call failed: its values are absent, everything else continues
      ├── NotOffered   the node does not implement the method
      ├── NotAnswered  no answer in time: a later call may succeed
      ├── NotAllowed   the node's -rpcwhitelist does not include the method
      ├── DataPruned   the node has pruned the block that the call needs
      ├── ThreadBusy   the node's thread was still busy with the previous call: retry shortly
      └── PartlyFailed some of the call's values are known; the failure of the others is its `__cause__`

Each message is a sentence for the log, without a full stop. Any other exception is a defect and is not caught.
"""

from collections.abc import Mapping


class PluginError(Exception):
    """Base of the errors that this program expects."""


class ConfigError(PluginError):
    """The configuration is invalid."""


class NodeUnavailable(PluginError):
    """There is no session with the node, or it is over."""


class NodeStopping(NodeUnavailable):
    """The node is shutting down: a call could now abort it."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("the node is stopping")


class UnsupportedNode(PluginError):
    """The node answers, but has no interface that this program supports."""


class SessionExpired(PluginError):
    """The session's time limit has passed: a new one tries again to start the guard."""


class CallFailed(PluginError):
    """The node did not give a usable answer to one call; `code` is the JSON-RPC error code, if there is one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        """Keep the code of a JSON-RPC error beside its message."""
        super().__init__(message)
        self.code = code


class NotOffered(CallFailed):
    """The node does not implement the method."""


class NotAnswered(CallFailed):
    """The node did not answer this call, or the previous one, in time."""


class NotAllowed(CallFailed):
    """The node's -rpcwhitelist does not include the method."""


class DataPruned(CallFailed):
    """The node has pruned the block that the call needs."""


class ThreadBusy(CallFailed):
    """The node refused the call because its thread was still busy with the previous one."""


class PartlyFailed(CallFailed):
    """The call gave some usable values; `values` holds them by metric."""

    def __init__(self, message: str, values: Mapping[str, object]) -> None:
        """Keep the values that are known."""
        super().__init__(message)
        self.values = values
