# A subscription, as the node hands it back: disconnect() ends it.

@0xebd8f46e2f369076;

using Context = import "/mp/proxy.capnp".Context;

interface Handler {
  destroy @0 (context :Context) -> ();
  disconnect @1 (context :Context) -> ();
}
