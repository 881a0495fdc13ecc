"""What a client may call. Made from schema and dialects by `make reference`: do not edit it."""

CALLS = {
    (0xDDFB1D54C24414B3, 1): "Chain.getHeight",
    (0xDDFB1D54C24414B3, 39): "Chain.handleNotifications",
    (0xDDFB1D54C24414B3, 33): "Chain.isInitialBlockDownload",
    (0xEA08728D34263F55, 1): "Handler.disconnect",
    (0x8838C700BA5CBA65, 0): "Init.construct",
    (0x8838C700BA5CBA65, 4): "Init.makeChain or Init.makeRpc",
    (0x8838C700BA5CBA65, 2): "Init.makeMining",
    (0x8838C700BA5CBA65, 3): "Init.makeMining",
    (0x8838C700BA5CBA65, 5): "Init.makeNode",
    (0x8838C700BA5CBA65, 7): "Init.makeTracing",
    (0xF9C68436DF3AF39E, 2): "Mining.getTip",
    (0xF9C68436DF3AF39E, 1): "Mining.isInitialBlockDownload",
    (0xF9C68436DF3AF39E, 3): "Mining.waitTipChanged",
    (0xECE87A85E7D7C91D, 42): "Node.executeRpc",
    (0xECE87A85E7D7C91D, 31): "Node.getHeaderTip",
    (0xECE87A85E7D7C91D, 29): "Node.getMempoolDynamicUsage",
    (0xECE87A85E7D7C91D, 30): "Node.getMempoolMaxUsage",
    (0xECE87A85E7D7C91D, 28): "Node.getMempoolSize",
    (0xECE87A85E7D7C91D, 18): "Node.getNodeCount",
    (0xECE87A85E7D7C91D, 26): "Node.getTotalBytesRecv",
    (0xECE87A85E7D7C91D, 27): "Node.getTotalBytesSent",
    (0xECE87A85E7D7C91D, 36): "Node.getVerificationProgress",
    (0xECE87A85E7D7C91D, 10): "Node.shutdownRequested",
    (0xACB1D37F0A713129, 0): "Rpc.executeRpc",
    (0x81C1E2600D0B56C5, 0): "Thread.getName",
    (0xEE5E37179AD9DC9D, 0): "ThreadMap.makeThread",
    (0xB300BEDCD7B880CE, 0): "Tracing.traceUtxoCache",
}
"""The name of each method that may be called, by the id of its interface and its ordinal."""

JSON_RPC = {
    "estimatesmartfee",
    "getblockchaininfo",
    "getblockheader",
    "getblockstats",
    "getchaintips",
    "getindexinfo",
    "getmempoolinfo",
    "getnettotals",
    "getnetworkhashps",
    "getnetworkinfo",
    "getpeerinfo",
    "listbanned",
    "uptime",
}
"""The JSON-RPC methods that may be called; all are read-only."""
