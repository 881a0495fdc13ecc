"""The thread that a real node starts once its chain is loaded, for those who look at its process."""

import threading
from pathlib import Path
from typing import Final

NETWORK_THREAD: Final = "b-msghand"


def show_loaded(until: threading.Event) -> None:
    """Run an idle thread of that name until the event is set: a node that stops ends it first."""

    def idle() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(NETWORK_THREAD)
        until.wait()

    threading.Thread(target=idle, daemon=True).start()
