"""The thread that a real node runs while its chain is loaded, visible to other processes."""

import threading
from pathlib import Path
from typing import Final

NETWORK_THREAD: Final = "b-msghand"


def show_loaded(until: threading.Event) -> None:
    """Run an idle thread of that name until the event is set; a stopping node ends this thread first."""

    def idle() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(NETWORK_THREAD)
        until.wait()

    threading.Thread(target=idle, daemon=True).start()
