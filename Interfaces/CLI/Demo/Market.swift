import Instruments
import Primitives
import Wire

/// One moment of a tape: what the oracle says and what is quoted.
struct MarketStep {
  struct Slice {
    let underlying: UnderlyingID
    let expiry: Timestamp
    let forward: Price
    let parameters: SurfaceParameters
  }

  struct Quote {
    let instrument: InstrumentID
    let bid: Price?
    let ask: Price?
    let size: Quantity
    /// How often it is traded, against the others.
    let weight: Int64
  }

  let time: Timestamp
  let indices: [(underlying: UnderlyingID, price: Price)]
  let slices: [Slice]
  let quotes: [Quote]
}

/// What a demo plays: a list of contracts and the steps through which they trade.
protocol MarketTape {
  var startTime: Timestamp { get }
  var listings: [TapeListing] { get }
  var underlyings: [String] { get }
  var stepCount: Int { get }
  /// For people.
  var title: String { get }
  func step(_ index: Int) -> MarketStep
}

/// A contract a tape trades.
struct TapeListing {
  let name: InstrumentName
  let tick: Price
  let lot: Quantity
}

/// splitmix64: our own numbers from a printed seed.
struct SeededNumbers {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z &>> 31)
  }

  /// A number in `0..<bound`, by the high half of a product: no modulo bias worth the name.
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: (UInt128(next()) * UInt128(bound)) >> 64)
  }
}
