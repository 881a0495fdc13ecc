"""What a node's process shows of itself: the thread that a real one starts once its chain is loaded."""

import threading
from pathlib import Path
from typing import Final

NETWORK_THREAD: Final = "b-msghand"


def show_loaded() -> None:
    """Start a thread of that name, which does nothing."""

    def idle() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(NETWORK_THREAD)
        threading.Event().wait()

    threading.Thread(target=idle, daemon=True).start()
