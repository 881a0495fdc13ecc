"""Builds transactions that any Bitcoin library parses; no signature in them is valid."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bitcoin.core import (
    WITNESS_COINBASE_SCRIPTPUBKEY_MAGIC,
    CBlock,
    COutPoint,
    CTransaction,
    CTxIn,
    CTxInWitness,
    CTxOut,
    CTxWitness,
)
from bitcoin.core.script import OP_0, OP_TRUE, CScript, CScriptWitness
from bitcoin.core.serialize import Hash

WITNESS_SCALE_FACTOR = 4
WITNESS_RESERVED_VALUE = bytes(32)
SEQUENCE_RBF = 0xFFFFFFFD  # the highest that signals replaceability (BIP 125)
FILLER_VALUE = 1_000  # satoshi
FILLER_OUTPUT_WEIGHT = 40  # a value, a length and OP_TRUE: 10 bytes, no witness


class OutPoint(NamedTuple):
    """A transaction's id (wire order) and the index of one of its outputs."""

    txid: bytes
    n: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A serialised transaction, and the parts that the model uses.

    `inputs` is empty for a coinbase. `outputs` are satoshi; a witness commitment, which comes last and
    never becomes a coin, is not among them; `output_count` counts it.
    """

    data: bytes
    txid: bytes
    wtxid: bytes
    weight: int
    inputs: tuple[OutPoint, ...]
    outputs: tuple[int, ...]
    output_count: int

    @property
    def coinbase(self) -> bool:
        return not self.inputs

    @property
    def vsize(self) -> int:
        """Size in virtual bytes (BIP 141)."""
        return -(-self.weight // WITNESS_SCALE_FACTOR)


def payment(rng: random.Random, inputs: Sequence[OutPoint], outputs: Sequence[int]) -> Transaction:
    """Return a transaction that spends `inputs` as P2WPKH and pays `outputs` (satoshi) to P2WPKH."""
    tx = CTransaction(
        vin=[CTxIn(COutPoint(*outpoint), nSequence=SEQUENCE_RBF) for outpoint in inputs],
        vout=[CTxOut(value, _p2wpkh(rng)) for value in outputs],
        nVersion=2,
        witness=CTxWitness([CTxInWitness(_p2wpkh_witness(rng)) for _ in inputs]),
    )
    return described(tx, tuple(inputs), tuple(outputs))


def coinbase(
    rng: random.Random, *, height: int, reward: int, outputs: int, wtxids: Sequence[bytes]
) -> Transaction:
    """Return the coinbase of a block at `height` whose other transactions have the ids `wtxids`.

    The first of its `outputs` is P2WPKH and gets the `reward` (satoshi) less a small `OP_TRUE` output for
    each of the others. If there are other transactions, it commits to their witnesses (BIP 141).
    """
    filler = min(FILLER_VALUE, reward // outputs)
    values = (reward - filler * (outputs - 1), *[filler] * (outputs - 1))
    anyone = CScript([OP_TRUE])
    vout = [CTxOut(values[0], _p2wpkh(rng)), *(CTxOut(value, anyone) for value in values[1:])]
    witness = CTxWitness()
    if wtxids:
        vout.append(CTxOut(0, _witness_commitment(wtxids)))
        witness = CTxWitness([CTxInWitness(CScriptWitness([WITNESS_RESERVED_VALUE]))])
    # BIP 34 wants the height first; the random rest makes the transaction's id unique.
    script_sig = CScript([height, rng.randbytes(8)])
    tx = CTransaction([CTxIn(scriptSig=script_sig)], vout, nVersion=2, witness=witness)
    return described(tx, (), values)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the merkle tree over `hashes`, of which there is at least one."""
    root: bytes = CBlock.build_merkle_tree_from_txids(hashes)[-1]
    return root


def described(tx: Any, inputs: tuple[OutPoint, ...], outputs: tuple[int, ...]) -> Transaction:
    """Return a `CTransaction` of python-bitcoinlib as the model keeps it."""
    data = tx.serialize()
    stripped = tx.serialize({"include_witness": False}) if tx.has_witness() else data
    return Transaction(
        data=data,
        txid=Hash(stripped),
        wtxid=Hash(data),
        weight=len(stripped) * (WITNESS_SCALE_FACTOR - 1) + len(data),
        inputs=inputs,
        outputs=outputs,
        output_count=len(tx.vout),
    )


def _witness_commitment(wtxids: Sequence[bytes]) -> Any:
    # The coinbase's own place in the witness tree is zero: it cannot commit to itself.
    root = merkle_root([bytes(32), *wtxids])
    return CScript(WITNESS_COINBASE_SCRIPTPUBKEY_MAGIC + Hash(root + WITNESS_RESERVED_VALUE))


def _p2wpkh(rng: random.Random) -> Any:
    return CScript([OP_0, rng.randbytes(20)])


def _p2wpkh_witness(rng: random.Random) -> Any:
    """Return random bytes of the size of a signature and a public key."""
    return CScriptWitness([rng.randbytes(71), rng.randbytes(33)])
