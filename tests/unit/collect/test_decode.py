"""Decoding: transaction ids and sizes as the node itself gives them."""

import random
import struct
from collections.abc import Callable

import pytest
from bitcoin.core import CBlock, CMutableTransaction, CMutableTxIn, CMutableTxOut, CoreMainParams, CTransaction
from hypothesis import given
from hypothesis import strategies as st

from telegraf_bitcoin_ipc.collect.decode import Malformed, Transaction, block_transactions, hash_text
from telegraf_bitcoin_ipc.simnode.model import Model
from telegraf_bitcoin_ipc.simnode.transactions import OutPoint, payment

GENESIS = CoreMainParams.GENESIS_BLOCK.serialize()
GENESIS_TRANSACTION = GENESIS[81:]  # after the header and the count

# The signed transaction of BIP 143's first example: one input without a witness, one with P2WPKH's.
SEGWIT = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f000000004948304502"
    "21008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1"
    "c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287"
    "d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac"
    "7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609"
    "e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f33"
    "58f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07ae"
    "ee635711000000"
)


@pytest.mark.parametrize(
    ("data", "txid", "virtual_size"),
    [
        # Before SegWit a transaction's virtual size is its size: the first one ever has 204 bytes.
        (GENESIS_TRANSACTION, "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b", 204),
        # A witness is not in the id and weighs a quarter, rounded up (BIP 141): 233 * 3 + 343 = 1042.
        (SEGWIT, "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609", 261),
    ],
)
def test_real_transactions(data: bytes, txid: str, virtual_size: int) -> None:
    """Ids and sizes are those that the network knows."""
    assert (len(GENESIS_TRANSACTION), len(SEGWIT)) == (204, 343)
    transaction = Transaction(data)
    assert (transaction.txid, transaction.virtual_size) == (txid, virtual_size)


@pytest.mark.parametrize("inputs", [1, 2, 3, 4])
def test_simulated_transactions(inputs: int) -> None:
    """Ids and sizes are those that the simulated node works out by itself, at every remainder of a quarter."""
    rng = random.Random(inputs)
    tx = payment(rng, [OutPoint(bytes(32), n) for n in range(inputs)], [1_000])
    transaction = Transaction(tx.data)
    assert transaction.txid == hash_text(tx.txid) == tx.txid[::-1].hex()
    assert transaction.virtual_size == tx.vsize


@given(
    st.binary(max_size=100)
    | st.builds(lambda at, byte: SEGWIT[:at] + byte + SEGWIT[at + 1 :], st.integers(0, 342), st.binary(max_size=2))
)
def test_any_bytes(data: bytes) -> None:
    """Whatever comes, it is a transaction with an id and a size, or it is refused: nothing else is raised."""
    try:
        transaction = Transaction(data)
    except Malformed:
        return
    assert len(transaction.txid) == 64
    assert 0 < transaction.virtual_size <= len(data)
    assert CTransaction.deserialize(data)


def test_blocks_of_the_model() -> None:
    """A block has as many transactions as a Bitcoin library finds in it."""
    model = Model(rng=random.Random(1), now=1_700_000_000)
    for _ in range(7):
        model.accept_transaction(1_700_000_000)
    model.connect_block(1_700_000_000)
    data = model.chain.tip.data
    assert block_transactions(data) == len(CBlock.deserialize(data).vtx) == 8
    assert block_transactions(GENESIS) == 1


@pytest.mark.parametrize(
    ("compact_size", "count"),
    [
        (b"\x01", 1),
        (b"\xfc", 252),
        (b"\xfd" + struct.pack("<H", 253), 253),
        (b"\xfd" + struct.pack("<H", 0xFFFF), 0xFFFF),
        (b"\xfe" + struct.pack("<I", 0x10000), 0x10000),
    ],
)
def test_block_sizes(compact_size: bytes, count: int) -> None:
    """Large blocks are counted right, too, and without parsing what is in them."""
    assert block_transactions(bytes(80) + compact_size + bytes(10 * count)) == count


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (Transaction, b""),
        (Transaction, GENESIS_TRANSACTION[:-1]),
        (Transaction, GENESIS_TRANSACTION + b"\0"),
        (Transaction, SEGWIT[:-1]),
        (Transaction, SEGWIT[:200]),
        (Transaction, b"\x01\0\0\0" + b"\xff" * 9),
        (Transaction, CMutableTransaction().serialize()),
        (Transaction, CMutableTransaction(vin=[CMutableTxIn()]).serialize()),
        (Transaction, CMutableTransaction(vout=[CMutableTxOut(1)]).serialize()),
        (block_transactions, b""),
        (block_transactions, bytes(80)),
        (block_transactions, bytes(81)),
        (block_transactions, bytes(80) + b"\xfd\x01"),
        (block_transactions, bytes(80) + b"\xfe\x01\0\0"),
        (block_transactions, bytes(80) + b"\xff" + bytes(7)),
        (block_transactions, bytes(80) + b"\xff" * 9),
        (block_transactions, bytes(80) + b"\xfe" + struct.pack("<I", 1_000) + bytes(500)),
    ],
)
def test_malformed(read: Callable[[bytes], object], data: bytes) -> None:
    """What is none is refused: no id or size is made up, and no counter falls or jumps beyond all bounds."""
    with pytest.raises(Malformed):
        read(data)
