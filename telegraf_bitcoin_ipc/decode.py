"""What serialised transactions and blocks say, read by python-bitcoinlib."""

from io import BytesIO
from typing import Final

from bitcoin.core import CTransaction, b2lx
from bitcoin.core.serialize import SerializationError, VarIntSerializer

BLOCK_HEADER_BYTES: Final = 80
MAX_COMPACT_SIZE_BYTES: Final = 9
WITNESS_SCALE_FACTOR: Final = 4
"""Weight units per virtual byte (BIP 141)."""


class Malformed(ValueError):
    """The bytes are no transaction, or no block."""


def hash_text(wire_order: bytes) -> str:
    """Return a hash as people write it: hexadecimal, byte order reversed."""
    return str(b2lx(wire_order))


class Transaction:
    """A serialised transaction; raises Malformed when it is none."""

    def __init__(self, data: bytes) -> None:
        """Parse `data`."""
        try:
            self._tx = CTransaction.deserialize(data)
        except SerializationError as error:
            raise Malformed(str(error)) from error

    @property
    def txid(self) -> str:
        """The transaction id, as people write it."""
        return hash_text(self._tx.GetTxid())

    @property
    def virtual_size(self) -> int:
        """Virtual bytes, rounded up (BIP 141); the node's own figure is larger where sigops weigh more."""
        return -(-self._tx.calc_weight() // WITNESS_SCALE_FACTOR)


def block_transactions(data: bytes) -> int:
    """Return how many transactions a serialised block has; only the count is read, whatever the block's size."""
    try:
        return int(
            VarIntSerializer.stream_deserialize(
                BytesIO(data[BLOCK_HEADER_BYTES : BLOCK_HEADER_BYTES + MAX_COMPACT_SIZE_BYTES])
            )
        )
    except SerializationError as error:
        raise Malformed(str(error)) from error
