# The trace of the UTXO cache.
# add, spend and uncache have no context: the node calls them inside the coins cache, under its validation lock.

@0xfcbbd3f49874128e;

using Context = import "/mp/proxy.capnp".Context;
using Handler = import "/handler.capnp".Handler;

interface Tracing {
  traceUtxoCache @0 (context :Context, callback :UtxoCacheTrace) -> (result :Handler);
}

interface UtxoCacheTrace {
  destroy @0 (context :Context) -> ();
  add @1 (utxoInfo :UtxoInfo) -> ();
  spend @2 (utxoInfo :UtxoInfo) -> ();
  uncache @3 (utxoInfo :UtxoInfo) -> ();
}

struct UtxoInfo {
  outpointHash @0 :Data;
  outpointN @1 :UInt32;
  height @2 :UInt32;
  value @3 :Int64;
  isCoinbase @4 :Bool;
}
