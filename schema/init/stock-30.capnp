# Init of Bitcoin Core 30 (dialect stock-30): Mining stands at ordinal 2.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0xf2c5cfa319406aa6;

using Context = import "/mp/proxy.capnp".Context;
using Mining = import "/mining.capnp".Mining;
using ThreadMap = import "/mp/proxy.capnp".ThreadMap;

interface Init {
  construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap);
  makeEcho @1 () -> ();
  makeMining @2 (context :Context) -> (result :Mining);
}
