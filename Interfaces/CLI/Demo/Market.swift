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
  /// At least one of them a perpetual.
  var listings: [TapeListing] { get }
  var underlyings: [String] { get }
  var stepCount: Int { get }
  /// For people.
  var title: String { get }
  func step(_ index: Int) -> MarketStep
  /// Marks at a step that somebody else made of the same market, to compare ours with.
  func foreignMarks(_ index: Int) -> [(instrument: InstrumentID, price: Price)]
}

extension MarketTape {
  func foreignMarks(_ index: Int) -> [(instrument: InstrumentID, price: Price)] { [] }
}

/// A contract a tape trades.
struct TapeListing {
  let name: InstrumentName
  let tick: Price
  let lot: Quantity
}

/// What makers show, in dollars of the underlying.
enum MakerDepth {
  /// Of one option, each side.
  static let optionDollars: Int64 = 200_000
  /// Of a perpetual: half the spread as a share of the price, and dollars, from the best level on.
  static let perpetualLevels: [(half: Ratio, dollars: Int64)] = [
    (Ratio(raw: 250_000), 200_000), (Ratio(raw: 1_000_000), 300_000),
    (Ratio(raw: 2_500_000), 500_000),
  ]

  /// A perpetual's ladder around its index; only the best level is picked by takers.
  static func ladder(
    _ instrument: InstrumentID, _ index: Price, _ listing: TapeListing, weight: Int64
  )
    -> [MarketStep.Quote]
  {
    perpetualLevels.enumerated().map { place, level in
      let half = Int64(Int128(index.raw) * Int128(level.half.raw) / Int128(Ratio.scale))
      let tick = listing.tick.raw
      let bid = max(tick, (index.raw - half) / tick * tick)
      return MarketStep.Quote(
        instrument: instrument, bid: Price(raw: bid),
        ask: Price(raw: max(bid + tick, (index.raw + half + tick - 1) / tick * tick)),
        size: .worth(level.dollars, at: index, lot: listing.lot), weight: place == 0 ? weight : 0)
    }
  }
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
