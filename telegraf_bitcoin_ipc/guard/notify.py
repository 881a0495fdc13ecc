"""Tells systemd how the service is (sd_notify)."""

import contextlib
import os
import socket


def tell(state: str) -> None:
    """Send a line such as READY=1 to the socket that NOTIFY_SOCKET names; without effect outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract name
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
        to_systemd.sendto(state.encode(), address)
