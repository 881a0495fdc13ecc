"""A Telegraf execd input that watches a Bitcoin node over its IPC socket."""


def __getattr__(name: str) -> str:
    """Return `__version__`, which is looked up only when it is wanted: that takes tens of milliseconds."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("telegraf-bitcoin-ipc")
