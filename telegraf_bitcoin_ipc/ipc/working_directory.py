"""Handles an unusable working directory: hides it from Cap'n Proto, and rejects relative paths.

After `sudo -u bitcoin` in a home of mode 0700, the working directory cannot be entered. It may also be deleted.
"""

import os

from telegraf_bitcoin_ipc.errors import ConfigError


def usable() -> bool:
    """Return whether the working directory exists and this user may enter it."""
    try:
        os.getcwd()
        os.stat(".")
    except OSError:
        return False
    return True


def prepare_for_capnp() -> None:
    """Change to the root directory if the working directory would make the schema parser abort the process.

    Relative paths do not work in such a directory anyway. PWD is removed because the parser warns on stderr if it
    is wrong, and does not need it.
    """
    os.environ.pop("PWD", None)
    if not usable():
        os.chdir("/")


def checked(option: str, path: str) -> str:
    """Return the path unchanged; raises ConfigError if it is relative and the working directory is unusable."""
    if not (os.path.isabs(path) or usable()):
        raise ConfigError(
            f"{option}: {path} is relative, and the working directory cannot be entered: give an absolute path"
        )
    return path
