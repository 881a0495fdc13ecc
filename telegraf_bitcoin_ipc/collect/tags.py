"""Tag values: what they cannot contain, and the fixed sets of them, most of them Bitcoin Core's own names."""

import re
from enum import StrEnum
from typing import Final

UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
"""Characters that a tag value cannot contain in line protocol: control characters, lone surrogates, and the
backslash, which influx_line_protocol doubles and Telegraf does not unescape."""

UNKNOWN: Final = "unknown"
"""Replaces a tag value that is outside its fixed set, or that the node did not report."""

REMOVAL_REASONS: Final = ("expiry", "sizelimit", "reorg", "block", "conflict", "replaced")
"""Bitcoin Core's MemPoolRemovalReason, in the order of its numbers (0 to 5)."""


class Subscription(StrEnum):
    """What can be subscribed to; the values are those of the tag `subscription`."""

    CHAIN = "chain"
    UTXO_CACHE = "utxo_cache"


DIRECTIONS: Final = ("inbound", "outbound")

NETWORKS: Final = ("ipv4", "ipv6", "onion", "i2p", "cjdns", "not_publicly_routable")
"""Bitcoin Core's names of networks, as getpeerinfo gives them (GetNetworkName)."""

CONNECTION_TYPES: Final = (
    "inbound", "outbound-full-relay", "block-relay-only", "manual", "addr-fetch", "feeler", "private-broadcast",
)  # fmt: skip
"""Bitcoin Core's names of connection types (ConnectionTypeAsString)."""

TRANSPORTS: Final = ("v1", "v2", "detecting")
"""Bitcoin Core's names of transport protocols (BIP 324); `detecting` before a peer has shown which."""

FEE_TARGETS: Final = (2, 6, 144)
"""Confirmation targets in blocks, unless others are chosen."""

PING_STATS: Final = {"median": 0.5, "p90": 0.9, "max": 1.0}
"""Quantiles by the tag value of peer_ping_seconds; `promtool` refuses a label `quantile` outside summaries."""

OTHER: Final = "other"
"""Stands in for a message that is none of the protocol's."""

MESSAGES: Final = (
    "addr", "addrv2", "block", "blocktxn", "cfcheckpt", "cfheaders", "cfilter", "cmpctblock", "feature",
    "feefilter", "filteradd", "filterclear", "filterload", "getaddr", "getblocks", "getblocktxn", "getcfcheckpt",
    "getcfheaders", "getcfilters", "getdata", "getheaders", "headers", "inv", "mempool", "merkleblock", "notfound",
    "ping", "pong", "sendaddrv2", "sendcmpct", "sendheaders", "sendtxrcncl", "tx", "verack", "version",
    "wtxidrelay", OTHER,
)  # fmt: skip
"""The names of the P2P protocol's messages (NetMsgType of Bitcoin Core 31.99)."""

CHAIN_TIP_STATUSES: Final = ("active", "valid-fork", "valid-headers", "headers-only", "invalid")
"""The statuses that getchaintips knows."""

INDEXES: Final = ("txindex", "basic block filter index", "coinstatsindex", "txospenderindex")
"""The names that getindexinfo gives the indexes of Bitcoin Core 31.99."""
