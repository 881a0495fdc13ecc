# How libmultiprocess runs calls: each one names, in its Context, the server thread that is to run it.

@0xcc316e3f71a040fb;

interface ThreadMap {
  makeThread @0 (name :Text) -> (result :Thread);
  makePool @1 (count :UInt32) -> ();
}

interface Thread {
  getName @0 () -> (result :Text);
}

struct Context {
  thread @0 :Thread;
  callbackThread @1 :Thread;
}
