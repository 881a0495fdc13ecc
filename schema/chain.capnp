# The node's chain, and the notifications it sends about it.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0x94f21a4864bd2c65;

using BilingualStr = import "/common.capnp".BilingualStr;
using Context = import "/mp/proxy.capnp".Context;
using Handler = import "/handler.capnp".Handler;

interface Chain {
  destroy @0 (context :Context) -> ();
  getHeight @1 (context :Context) -> (result :Int32, hasResult :Bool);
  getBlockHash @2 (context :Context, height :Int32) -> (result :Data);
  haveBlockOnDisk @3 (context :Context, height :Int32) -> (result :Bool);
  findLocatorFork @4 (context :Context, locator :Data) -> (result :Int32, hasResult :Bool);
  hasBlockFilterIndex @5 (context :Context, filterType :UInt8) -> (result :Bool);
  blockFilterMatchesAny @6 (context :Context, filterType :UInt8, blockHash :Data, filterSet :List(Data))
      -> (result :Bool, hasResult :Bool);
  findBlock @7 () -> ();
  findFirstBlockWithTimeAndHeight @8 () -> ();
  findAncestorByHeight @9 () -> ();
  findAncestorByHash @10 () -> ();
  findCommonAncestor @11 () -> ();
  findCoins @12 () -> ();
  guessVerificationProgress @13 (context :Context, blockHash :Data) -> (result :Float64);
  hasBlocks @14 (context :Context, blockHash :Data, minHeight :Int32, maxHeight :Int32, hasMaxHeight :Bool)
      -> (result :Bool);
  isRBFOptIn @15 (context :Context, tx :Data) -> (result :Int32);
  isInMempool @16 (context :Context, txid :Data) -> (result :Bool);
  hasDescendantsInMempool @17 (context :Context, txid :Data) -> (result :Bool);
  broadcastTransaction @18 (context :Context, tx :Data, maxTxFee :Int64, broadcastMethod :Int32)
      -> (error :Text, result :Bool);
  getTransactionAncestry @19 (context :Context, txid :Data)
      -> (ancestors :UInt64, descendants :UInt64, ancestorsize :UInt64, ancestorfees :Int64);
  calculateIndividualBumpFees @20 () -> ();
  calculateCombinedBumpFee @21 (context :Context, outpoints :List(Data), targetFeerate :Data)
      -> (result :Int64, hasResult :Bool);
  getPackageLimits @22 (context :Context) -> (ancestors :UInt32, descendants :UInt32);
  checkChainLimits @23 () -> ();
  estimateSmartFee @24 () -> ();
  estimateMaxBlocks @25 (context :Context) -> (result :UInt32);
  mempoolMinFee @26 (context :Context) -> (result :Data);
  relayMinFee @27 (context :Context) -> (result :Data);
  relayIncrementalFee @28 (context :Context) -> (result :Data);
  relayDustFee @29 (context :Context) -> (result :Data);
  havePruned @30 (context :Context) -> (result :Bool);
  getPruneHeight @31 (context :Context) -> (result :Int32, hasResult :Bool);
  isReadyToBroadcast @32 (context :Context) -> (result :Bool);
  isInitialBlockDownload @33 (context :Context) -> (result :Bool);
  shutdownRequested @34 (context :Context) -> (result :Bool);
  initMessage @35 (context :Context, message :Text) -> ();
  initWarning @36 (context :Context, message :BilingualStr) -> ();
  initError @37 (context :Context, message :BilingualStr) -> ();
  showProgress @38 (context :Context, title :Text, progress :Int32, resumePossible :Bool) -> ();
  handleNotifications @39 (context :Context, notifications :ChainNotifications) -> (result :Handler);
  waitForNotificationsIfTipChanged @40 (context :Context, oldTip :Data) -> ();
  handleRpc @41 () -> ();
  rpcEnableDeprecated @42 (context :Context, method :Text) -> (result :Bool);
  getSetting @43 (context :Context, name :Text) -> (result :Text);
  getSettingsList @44 (context :Context, name :Text) -> (result :List(Text));
  getRwSetting @45 (context :Context, name :Text) -> (result :Text);
  updateRwSetting @46 () -> ();
  overwriteRwSetting @47 (context :Context, name :Text, value :Text, action :Int32) -> (result :Bool);
  deleteRwSettings @48 (context :Context, name :Text, action :Int32) -> (result :Bool);
  requestMempoolTransactions @49 (context :Context, notifications :ChainNotifications) -> ();
  hasAssumedValidChain @50 (context :Context) -> (result :Bool);
}

interface ChainNotifications {
  destroy @0 (context :Context) -> ();
  transactionAddedToMempool @1 (context :Context, tx :Data) -> ();
  transactionRemovedFromMempool @2 (context :Context, tx :Data, reason :Int32) -> ();
  blockConnected @3 (context :Context, role :ChainstateRole, block :BlockInfo) -> ();
  blockDisconnected @4 (context :Context, block :BlockInfo) -> ();
  updatedBlockTip @5 (context :Context) -> ();
  chainStateFlushed @6 (context :Context, role :ChainstateRole, locator :Data) -> ();
}

struct BlockInfo {
  hash @0 :Data;
  prevHash @1 :Data;
  height @2 :Int32 = -1;
  fileNumber @3 :Int32 = -1;
  dataPos @4 :UInt32 = 0;
  data @5 :Data;
  undoData @6 :Data;
  chainTimeMax @7 :UInt32 = 0;
}

struct ChainstateRole {
  validated @0 :Bool;
  historical @1 :Bool;
}
