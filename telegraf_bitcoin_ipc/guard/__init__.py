"""The guard: the process between the node and the plugin that answers the node's calls.

Standard library only. It is imported as a part of this package, and run as a package of its own named `guard`
(see `ipc/guard_process.py`), so that its process never imports the rest: imports in it are relative.
"""
