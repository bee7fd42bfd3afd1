import Pricing
import Primitives
import Wire

/// The market a storm's agents see: an outside price, what forced sales do to it, and volatility
/// (quant.md 5.2).
///
/// For good, by λ·√(all that takers sold ÷ ADV): of the sum, so that a sale in parts moves as much
/// as the whole. And for a while, by what a step's takers ate of the real book: the gap down to
/// their worst fill, of which the arbitrageur leaves a half a step later.
struct StormMarket {
  private let parameters: StormParameters
  /// Whether trades move anything.
  private let hasImpact: Bool
  private let dailyVolume: Int64
  /// Money that takers sold since the start, less what they bought.
  private(set) var sold: Int128 = 0
  /// Millionths that the price stands below what it would, for a while.
  private(set) var gap: Int64 = 0
  /// Millionths of this step's worst fills below and above the price.
  private var (below, above) = (Int64(0), Int64(0))
  private var outside: StormPath.Point
  private let first: StormPath.Point

  /// What everybody goes by: the price of the step, held through it.
  private(set) var price: Int64
  var volatility: Int64 { outside.volatility }
  /// Depth falls as volatility rises.
  var calm: Int64 { Int64(Int128(Share.whole) * Int128(first.volatility) / Int128(volatility)) }

  init(_ first: StormPath.Point, open: Int64, hasImpact: Bool, _ parameters: StormParameters) {
    self.parameters = parameters
    self.hasImpact = hasImpact
    self.first = first
    dailyVolume = open * parameters.volumePerInterest
    outside = first
    price = first.price
  }

  /// What stands within one per cent of the price in all, in money.
  var depth: Int64 { Share.of(dailyVolume, parameters.depth) }

  /// A taker's fill. What lies no farther than the best level is no gap.
  mutating func take(_ side: Side, _ quantity: Int64, at fill: Int64) {
    let money = Int128(Share.money(quantity, fill))
    sold += side == .sell ? money : -money
    let distance = Int64(Int128(price - fill) * Int128(Share.whole) / Int128(price))
    let spread = parameters.ladder[0] * 100
    if side == .sell {
      below = max(below, distance - spread)
    } else {
      above = max(above, -distance - spread)
    }
  }

  mutating func step(to point: StormPath.Point) {
    outside = point
    gap = gap / parameters.pullDivisor + below - above
    (below, above) = (0, 0)
    guard hasImpact else {
      price = point.price
      return
    }
    let root = Int64(Share.root(Int128(sold.magnitude) * 1_000_000_000_000 / Int128(dailyVolume)))
    let lasting = min(Share.whole / 2, Share.of(parameters.lasting, root))
    let slip = max(-Share.whole / 2, min(Share.whole / 2, gap))
    let level = Share.of(point.price, Share.whole - (sold < 0 ? -lasting : lasting))
    price = max(1, Share.of(level, Share.whole - slip))
  }

  // MARK: - Options

  /// The smile that publishers sign: flat, with a little bend.
  func smile(time: Int64) -> SurfaceParameters {
    let flat = SurfaceSlice(flat: Ratio(raw: volatility), time: time)
    return SurfaceParameters(
      a: flat.a, b: 1_000_000_000, rho: -100_000_000_000, m: 0, sigma: 50_000_000_000)
  }

  func mark(_ contract: StormCast.Contract, time: Int64) -> Int64 {
    Black76.price(
      contract.isCall ? .call : .put, forward: Price(raw: price),
      strike: Price(raw: contract.strike), volatility: Ratio(raw: volatility), time: time
    ).raw
  }

  /// Contracts of the perpetual that one option moves like, in 1e-12.
  func delta(_ contract: StormCast.Contract, time: Int64) -> Int64 {
    Black76.delta(
      contract.isCall ? .call : .put, forward: Price(raw: price),
      strike: Price(raw: contract.strike), volatility: Ratio(raw: volatility), time: time)
  }
}
