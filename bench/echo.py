"""`echo`, a minimal subscriber: reads a frame, writes a prepared answer. SOCKET [busy]

It subscribes to nothing. It recognises a call by fixed positions in the message that Cap'n Proto writes. It sleeps
until a frame comes; with `busy` it asks for one without a pause: no Python process can answer much sooner.
"""

import socket
import struct
import sys

CALL = 2
# A Return with empty results: Message and Return with their pointers, the question, an empty Payload.
ANSWER = struct.pack("<II8Q", 0, 8, 1 << 32 | 1 << 48, 3, 2 << 32 | 1 << 48, 0, 0, 2 << 48, 0, 0)
QUESTION_AT = 32  # in the answer
KIND, QUESTION = 8, 24  # in a frame, behind its header
BUFFER_BYTES = 1 << 22


def _read(node: socket.socket, room: memoryview) -> int:
    while True:
        try:
            return node.recv_into(room)
        except BlockingIOError:
            continue


def main(path: str, *, busy: bool) -> None:
    """Answer until the node closes the connection."""
    node = socket.socket(socket.AF_UNIX)
    node.connect(path)
    node.setblocking(not busy)
    buffer, answer, filled = bytearray(BUFFER_BYTES), bytearray(ANSWER), 0
    view = memoryview(buffer)
    while size := _read(node, view[filled:]):
        filled += size
        at = 0
        while filled - at >= 8:
            segments = buffer[at] + 1
            head = 4 * (segments + 1) + 7 & ~7
            words = sum(
                int.from_bytes(view[at + 4 * number : at + 4 * number + 4], "little")
                for number in range(1, segments + 1)
            )
            end = at + head + 8 * words
            if end > filled:
                break
            if buffer[at + head + KIND] == CALL:
                question = at + head + QUESTION
                answer[QUESTION_AT : QUESTION_AT + 4] = view[question : question + 4]
                node.send(answer)
            at = end
        if at:
            view[: filled - at] = view[at:filled]
            filled -= at


if __name__ == "__main__":
    main(sys.argv[1], busy=sys.argv[2:] == ["busy"])
