"""Decodes serialised transactions and blocks with python-bitcoinlib."""

from io import BytesIO
from typing import Final

from bitcoin.core import CTransaction, b2lx
from bitcoin.core.serialize import SerializationError, VarIntSerializer

BLOCK_HEADER_BYTES: Final = 80
MAX_COMPACT_SIZE_BYTES: Final = 9
WITNESS_SCALE_FACTOR: Final = 4
"""Weight units per virtual byte (BIP 141)."""


class Malformed(ValueError):
    """The bytes are not a transaction, or not a block."""


def hash_text(wire_order: bytes) -> str:
    """Return a hash in display order: hexadecimal, byte order reversed."""
    return str(b2lx(wire_order))


class Transaction:
    """A serialised transaction; raises Malformed."""

    def __init__(self, data: bytes) -> None:
        try:
            self._tx = CTransaction.deserialize(data)
        except SerializationError as error:
            raise Malformed(str(error)) from error
        if not (self._tx.vin and self._tx.vout):
            raise Malformed("a transaction without inputs or outputs")

    @property
    def txid(self) -> str:
        """The transaction id, in display order."""
        return hash_text(self._tx.GetTxid())

    @property
    def virtual_size(self) -> int:
        """Virtual bytes, rounded up (BIP 141); the node's own figure is larger where sigops weigh more."""
        weight: int = self._tx.calc_weight()
        return -(-weight // WITNESS_SCALE_FACTOR)


def block_transactions(data: bytes) -> int:
    """Return the number of transactions of a serialised block, of which nothing else is read. Raises Malformed."""
    compact_size = BytesIO(data[BLOCK_HEADER_BYTES : BLOCK_HEADER_BYTES + MAX_COMPACT_SIZE_BYTES])
    try:
        count: int = VarIntSerializer.stream_deserialize(compact_size)
    except SerializationError as error:
        raise Malformed(str(error)) from error
    if not 0 < count < len(data):
        raise Malformed(f"a block of {len(data)} bytes cannot have {count} transactions")
    return count
