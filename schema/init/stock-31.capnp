# Init of Bitcoin Core 31 (dialect stock-31): as stock.capnp, without JSON-RPC.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0xf2c5cfa319406aa6;

using Context = import "/mp/proxy.capnp".Context;
using Mining = import "/mining.capnp".Mining;
using ThreadMap = import "/mp/proxy.capnp".ThreadMap;

interface Init {
  construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap);
  makeEcho @1 () -> ();
  makeMiningOld2 @2 () -> ();
  makeMining @3 (context :Context) -> (result :Mining);
}
