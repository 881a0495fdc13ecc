"""The working directory: whether this user can use it, and what becomes of relative paths where not.

`sudo -u bitcoin` from a home of mode 0700 gives one that cannot be entered; another may have been deleted.
"""

import os
from typing import Final

from telegraf_bitcoin_ipc.errors import ConfigError

ROOT: Final = "/"


def usable() -> bool:
    """Return whether the working directory exists, and this user may enter it."""
    try:
        os.getcwd()
        os.stat(".")
    except OSError:
        return False
    return True


def prepare_for_capnp() -> None:
    """Make the working directory one that Cap'n Proto's schema parser can open: it aborts the process otherwise.

    That is the root directory where the present one cannot be used; relative paths lead nowhere there anyway.
    The parser need not know PWD, and warns on stderr where that is wrong.
    """
    os.environ.pop("PWD", None)
    if not usable():
        os.chdir(ROOT)


def checked(option: str, path: str) -> str:
    """Return the path as it is; raises ConfigError for a relative one if the working directory cannot be used."""
    if not (os.path.isabs(path) or usable()):
        raise ConfigError(
            f"{option}: {path} is relative, and the working directory cannot be entered: give an absolute path"
        )
    return path
