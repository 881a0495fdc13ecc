# Init of a node with the Chain and Node interfaces, without tracing (dialect chain, Bitcoin Core PR #10102).
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0xf2c5cfa319406aa6;

using Chain = import "/chain.capnp".Chain;
using Context = import "/mp/proxy.capnp".Context;
using Mining = import "/mining.capnp".Mining;
using Node = import "/node.capnp".Node;
using ThreadMap = import "/mp/proxy.capnp".ThreadMap;

interface Init {
  construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap);
  makeEcho @1 () -> ();
  makeMiningOld2 @2 () -> ();
  makeMining @3 (context :Context) -> (result :Mining);
  makeChain @4 (context :Context) -> (result :Chain);
  makeNode @5 (context :Context) -> (result :Node);
  makeWalletLoader @6 () -> ();
}
