# Mining: the tip, and waiting for it to change. The methods from @6 on came with Core 31 and 32.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0xc77d03df6a41b505;

using BlockRef = import "/common.capnp".BlockRef;
using Context = import "/mp/proxy.capnp".Context;

interface Mining {
  isTestChain @0 (context :Context) -> (result :Bool);
  isInitialBlockDownload @1 (context :Context) -> (result :Bool);
  getTip @2 (context :Context) -> (result :BlockRef, hasResult :Bool);
  waitTipChanged @3 (context :Context, currentTip :Data, timeout :Float64 = 1.7976931348623157e+308)
      -> (result :BlockRef);
  createNewBlock @4 () -> ();
  checkBlock @5 () -> ();
  interrupt @6 () -> ();
  submitBlock @7 (context :Context, block :Data) -> (reason :Text, debug :Text, result :Bool);
  getTransactionsByTxID @8 (context :Context, txids :List(Data)) -> (result :List(Data));
  getTransactionsByWitnessID @9 (context :Context, wtxids :List(Data)) -> (result :List(Data));
}
