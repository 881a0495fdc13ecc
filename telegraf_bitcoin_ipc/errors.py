"""The exception tree, by what happens next.

Each message is a sentence for the log, without a full stop. Any other exception is a defect and is not caught.
"""

from collections.abc import Mapping


class PluginError(Exception):
    """Base of the errors that this program expects."""


class ConfigError(PluginError):
    """The user's mistake: one sentence, exit status 2."""


class NodeUnavailable(PluginError):
    """No session, or the session is over: back off and reconnect."""


class NodeStopping(NodeUnavailable):
    """The node is shutting down, and a call could abort it: do not connect to this process again."""

    def __init__(self) -> None:
        super().__init__("the node is stopping")


class UnsupportedNode(PluginError):
    """The node offers no interface that this program supports: back off slowly."""


class EndpointUnavailable(PluginError):
    """A page of metrics cannot be reached or used: the command ends with exit status 1."""


class SessionExpired(PluginError):
    """The session's time limit has passed: reconnect at once, to try again to start the guard."""


class CallFailed(PluginError):
    """One call failed: its values are absent, everything else continues. `code` is JSON-RPC's, if there is one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class NotOffered(CallFailed):
    """The node does not implement the method."""


class NotAnswered(CallFailed):
    """No answer to this call, or to the previous one, in time: a later call may succeed."""


class NotAllowed(CallFailed):
    """The node's -rpcwhitelist does not include the method."""


class DataPruned(CallFailed):
    """The node has pruned the block that the call needs."""


class ThreadBusy(CallFailed):
    """The node's thread was still busy with the previous call: retry shortly."""


class PartlyFailed(CallFailed):
    """Some of the call's `values`, by metric, are known; the failure of the others is its `__cause__`."""

    def __init__(self, message: str, values: Mapping[str, object]) -> None:
        super().__init__(message)
        self.values = values
