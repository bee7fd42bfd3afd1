import Primitives

/// SplitMix64 (Steele, Lea, Flood 2014): ours, so that a seed means the same for ever.
struct Generator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }
}

/// A record to fill pools with: 24 bytes.
struct Cell: FlatRecord, Hashable {
  var a: UInt64 = 0
  var b: Int64 = 0
  var c: UInt32 = 0
  var d: UInt32 = 0
  static let empty = Cell()
}

/// A small record: 2 bytes.
struct Coin: FlatRecord, Hashable {
  var value: UInt16 = 0
  static let empty = Coin()
}
