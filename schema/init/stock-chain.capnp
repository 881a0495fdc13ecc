# Init of Bitcoin Core's pull request 29409 (dialect stock-chain), and of 10102 on top of it up to makeChain.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0xf2c5cfa319406aa6;

using Chain = import "/chain.capnp".Chain;
using Context = import "/mp/proxy.capnp".Context;
using Mining = import "/mining.capnp".Mining;
using Rpc = import "/rpc.capnp".Rpc;
using ThreadMap = import "/mp/proxy.capnp".ThreadMap;

interface Init {
  construct @0 (threadMap :ThreadMap) -> (threadMap :ThreadMap);
  makeEcho @1 () -> ();
  makeMiningOld2 @2 () -> ();
  makeMining @3 (context :Context) -> (result :Mining);
  makeRpc @4 (context :Context) -> (result :Rpc);
  makeChain @5 (context :Context) -> (result :Chain);
}
