"""The first packets between a program and a guard. Both sides have to be of the same version.

A standing guard listens on a socket of type SOCK_SEQPACKET. The program sends one Request, the guard one Answer,
with two descriptors if there is a session: a stream socket on which the node is spoken to, and the memory of the
totals, to read. A guard that the program has started has all of that already, and sends an Answer only.
"""

import struct

VERSION = 1  # of these packets, of the totals' layout and of what the guard does with frames
MAGIC = b"btcg"

HEAD = struct.Struct("<4sHH5Q")  # magic, version, flags, a run of the node
FORWARD_UTXO = 1  # a Request's flag
LOADED, STOPPING = 1, 2  # an Answer's flags
MOST_BYTES = 4096

Run = tuple[int, int, int, int, int]
"""One run of a node; see `node.NodeSocket`."""

NO_RUN: Run = (0, 0, 0, 0, 0)


class NotSpoken(Exception):
    """The other side speaks another version, or something else; the message is a sentence."""


def request(*, forward_utxo: bool, stopped: Run = NO_RUN) -> bytes:
    """Return a Request. There is to be no session with the run of the node that was seen to stop."""
    return HEAD.pack(MAGIC, VERSION, FORWARD_UTXO if forward_utxo else 0, *stopped)


def read_request(packet: bytes) -> tuple[bool, Run]:
    """Return (forward_utxo, stopped). Raises NotSpoken."""
    flags, run, _ = _read(packet, "the guard", "the program")
    return bool(flags & FORWARD_UTXO), run


class Answer:
    """What a guard says: there is a session, with a node whose process shows that its chain is loaded, or not.

    Without a session `sentence` says why.
    """

    def __init__(
        self, *, loaded: bool = False, stopping: bool = False, run: Run = NO_RUN, sentence: str = ""
    ) -> None:
        """Take what is to be said."""
        self.loaded, self.stopping, self.run, self.sentence = loaded, stopping, run, sentence

    def packet(self) -> bytes:
        """Return the packet."""
        flags = (LOADED if self.loaded else 0) | (STOPPING if self.stopping else 0)
        return HEAD.pack(MAGIC, VERSION, flags, *self.run) + self.sentence.encode()[: MOST_BYTES - HEAD.size]

    @classmethod
    def of(cls, packet: bytes) -> "Answer":
        """Read a packet. Raises NotSpoken."""
        flags, run, sentence = _read(packet, "the program", "the guard")
        return cls(
            loaded=bool(flags & LOADED),
            stopping=bool(flags & STOPPING),
            run=run,
            sentence=sentence.decode(errors="replace"),
        )


def _read(packet: bytes, here: str, there: str) -> tuple[int, Run, bytes]:
    version = int.from_bytes(packet[4:6], "little")
    if packet[:4] == MAGIC and len(packet) >= 6 and version != VERSION:
        raise NotSpoken(
            f"{here} speaks version {VERSION} of the guard's protocol, {there} version {version}: "
            "both must be from the same release"
        )
    if packet[:4] != MAGIC or len(packet) < HEAD.size:
        raise NotSpoken(f"{there} does not speak this protocol")
    _, _, flags, *run = HEAD.unpack_from(packet)
    return flags, tuple(run), packet[HEAD.size :]
