# JSON-RPC over the IPC socket, without credentials (Core 32 and later).

@0x9c3505dc45e146ac;

using Context = import "/mp/proxy.capnp".Context;

interface Rpc {
  executeRpc @0 (context :Context, request :Text, uri :Text, user :Text) -> (result :Text);
}
