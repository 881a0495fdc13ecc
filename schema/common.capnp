# Structs that several interfaces share.

@0xcd2c6232cb484a28;

struct BlockRef {
  hash @0 :Data;
  height @1 :Int32;
}

struct BilingualStr {
  original @0 :Text;
  translated @1 :Text;
}

# A pair of anything behind a pointer and a number.
struct PairUInt64(Key) {
  key @0 :Key;
  value @1 :UInt64;
}
