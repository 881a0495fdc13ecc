# The node as its GUI sees it: network, mempool, JSON-RPC.
# A method declared as `() -> ()` is never called: it only keeps its place, so that the ordinals stay contiguous.

@0x92546c47dc734b2e;

using Common = import "/common.capnp";
using BilingualStr = import "/common.capnp".BilingualStr;
using Context = import "/mp/proxy.capnp".Context;
using Handler = import "/handler.capnp".Handler;

interface Node {
  destroy @0 (context :Context) -> ();
  initLogging @1 (context :Context) -> ();
  initParameterInteraction @2 (context :Context) -> ();
  getWarnings @3 (context :Context) -> (result :BilingualStr);
  getLogCategories @4 (context :Context) -> (result :UInt64);
  getExitStatus @5 (context :Context) -> (result :Int32);
  baseInitialize @6 () -> ();
  appInitMain @7 (context :Context) -> (tipInfo :BlockAndHeaderTipInfo, error :Text, result :Bool);
  appShutdown @8 (context :Context) -> ();
  startShutdown @9 (context :Context) -> ();
  shutdownRequested @10 (context :Context) -> (result :Bool);
  isSettingIgnored @11 (name :Text) -> (result :Bool);
  getPersistentSetting @12 (name :Text) -> (result :Text);
  updateRwSetting @13 (name :Text, value :Text) -> ();
  forceSetting @14 (name :Text, value :Text) -> ();
  resetSettings @15 () -> ();
  mapPort @16 (context :Context, useNatPnP :Bool) -> ();
  getProxy @17 (context :Context, net :Int32) -> (proxyInfo :ProxyInfo, result :Bool);
  getNodeCount @18 (context :Context, flags :Int32) -> (result :UInt64);
  getNodesStats @19 (context :Context) -> (stats :List(NodeStats), result :Bool);
  getBanned @20 (context :Context) -> (banmap :Banmap, result :Bool);
  ban @21 (context :Context, netAddr :Data, banTimeOffset :Int64) -> (result :Bool);
  unban @22 (context :Context, ip :Data) -> (result :Bool);
  disconnectByAddress @23 (context :Context, address :Data) -> (result :Bool);
  disconnectById @24 (context :Context, id :Int64) -> (result :Bool);
  listExternalSigners @25 () -> ();
  getTotalBytesRecv @26 (context :Context) -> (result :Int64);
  getTotalBytesSent @27 (context :Context) -> (result :Int64);
  getMempoolSize @28 (context :Context) -> (result :UInt64);
  getMempoolDynamicUsage @29 (context :Context) -> (result :UInt64);
  getMempoolMaxUsage @30 (context :Context) -> (result :UInt64);
  getHeaderTip @31 (context :Context) -> (height :Int32, blockTime :Int64, result :Bool);
  getNumBlocks @32 (context :Context) -> (result :Int32);
  getNetLocalAddresses @33 () -> ();
  getBestBlockHash @34 (context :Context) -> (result :Data);
  getLastBlockTime @35 (context :Context) -> (result :Int64);
  getVerificationProgress @36 (context :Context) -> (result :Float64);
  isInitialBlockDownload @37 (context :Context) -> (result :Bool);
  isLoadingBlocks @38 (context :Context) -> (result :Bool);
  setNetworkActive @39 (context :Context, active :Bool) -> ();
  getNetworkActive @40 (context :Context) -> (result :Bool);
  getDustRelayFee @41 (context :Context) -> (result :Data);
  executeRpc @42 (context :Context, command :Text, params :Text, uri :Text)
      -> (error :Text, rpcError :Text, result :Text);
  listRpcCommands @43 (context :Context) -> (result :List(Text));
  getUnspentOutput @44 (context :Context, output :Data) -> (result :Data);
  broadcastTransaction @45 (context :Context, tx :Data, maxTxFee :Int64) -> (error :Text, result :Int32);
  customWalletLoader @46 () -> ();
  handleInitMessage @47 (context :Context, callback :InitMessageCallback) -> (result :Handler);
  handleMessageBox @48 (context :Context, callback :MessageBoxCallback) -> (result :Handler);
  handleQuestion @49 (context :Context, callback :QuestionCallback) -> (result :Handler);
  handleShowProgress @50 (context :Context, callback :ShowNodeProgressCallback) -> (result :Handler);
  handleInitWallet @51 (context :Context, callback :InitWalletCallback) -> (result :Handler);
  handleNotifyNumConnectionsChanged @52 (context :Context, callback :NotifyNumConnectionsChangedCallback)
      -> (result :Handler);
  handleNotifyNetworkActiveChanged @53 (context :Context, callback :NotifyNetworkActiveChangedCallback)
      -> (result :Handler);
  handleNotifyAlertChanged @54 (context :Context, callback :NotifyAlertChangedCallback) -> (result :Handler);
  handleBannedListChanged @55 (context :Context, callback :BannedListChangedCallback) -> (result :Handler);
  handleNotifyBlockTip @56 (context :Context, callback :NotifyBlockTipCallback) -> (result :Handler);
  handleNotifyHeaderTip @57 (context :Context, callback :NotifyHeaderTipCallback) -> (result :Handler);
}

interface InitMessageCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, message :Text) -> ();
}

interface MessageBoxCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, message :BilingualStr, style :UInt32) -> (result :Bool);
}

interface QuestionCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, message :BilingualStr, nonInteractiveMessage :Text, style :UInt32)
      -> (result :Bool);
}

interface ShowNodeProgressCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, title :Text, progress :Int32, resumePossible :Bool) -> ();
}

interface InitWalletCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context) -> ();
}

interface NotifyNumConnectionsChangedCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, newNumConnections :Int32) -> ();
}

interface NotifyNetworkActiveChangedCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, networkActive :Bool) -> ();
}

interface NotifyAlertChangedCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context) -> ();
}

interface BannedListChangedCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context) -> ();
}

interface NotifyBlockTipCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, syncState :Int32, tip :BlockTip, verificationProgress :Float64) -> ();
}

interface NotifyHeaderTipCallback {
  destroy @0 (context :Context) -> ();
  call @1 (context :Context, syncState :Int32, tip :BlockTip, verificationProgress :Float64) -> ();
}

struct ProxyInfo {
  proxy @0 :Data;
  torStreamIsolation @1 :Bool;
}

struct NodeStats {
  nodeid @0 :Int64;
  lastSend @1 :Int64;
  lastRecv @2 :Int64;
  lastTXTime @3 :Int64;
  lastBlockTime @4 :Int64;
  timeConnected @5 :Int64;
  addrName @6 :Text;
  version @7 :Int32;
  cleanSubVer @8 :Text;
  inbound @9 :Bool;
  bip152HighbandwidthTo @10 :Bool;
  bip152HighbandwidthFrom @11 :Bool;
  startingHeight @12 :Int32;
  sendBytes @13 :UInt64;
  sendBytesPerMsgType @14 :List(Common.PairUInt64(Text));
  recvBytes @15 :UInt64;
  recvBytesPerMsgType @16 :List(Common.PairUInt64(Text));
  permissionFlags @17 :Int32;
  pingTime @18 :Int64;
  minPingTime @19 :Int64;
  addrLocal @20 :Text;
  addr @21 :Data;
  addrBind @22 :Data;
  network @23 :Int32;
  mappedAs @24 :UInt32;
  connType @25 :Int32;
  transportType @26 :UInt8;
  sessionId @27 :Text;
  stateStats @28 :NodeStateStats;
}

struct NodeStateStats {
  syncHeight @0 :Int32;
  commonHeight @1 :Int32;
  startingHeight @2 :Int32;
  pingWait @3 :Int64;
  heightInFlight @4 :List(Int32);
  addressesProcessed @5 :UInt64;
  addressesRateLimited @6 :UInt64;
  addressRelayEnabled @7 :Bool;
  theirServices @8 :UInt64;
  presyncHeight @9 :Int64;
  timeOffset @10 :Int64;
}

struct Banmap {
  json @0 :Text;
}

struct BlockTip {
  blockHeight @0 :Int32;
  blockTime @1 :Int64;
  blockHash @2 :Data;
}

struct BlockAndHeaderTipInfo {
  blockHeight @0 :Int32;
  blockTime @1 :Int64;
  headerHeight @2 :Int32;
  headerTime @3 :Int64;
  verificationProgress @4 :Float64;
}

struct LocalServiceInfo {
  score @0 :Int32;
  port @1 :UInt16;
}
