import Instruments
import Primitives

/// What liquidation does in a run.
enum StormMethod: String, CaseIterable, Sendable {
  /// Genesis without auctions: clearing directs closes against the book.
  case market
  /// Genesis with auctions; the book gets what nobody bid for.
  case auction
}

/// The published parameters of `novate bench cascade`; Docs/Stress.md has them in one table. Shares
/// are in millionths of the notional open at the start unless they say otherwise.
struct StormParameters: Sendable {
  // Who plays.
  var longs = 48
  var shorts = 12
  /// Sell a put and a call and hedge the delta with the perpetual.
  var sellers = 6
  var makers = 3
  var bots = 8
  /// Leverage is a median times a factor to the power of so many coins of 64 more than half: a
  /// binomial logarithm, which is log-normal to the eye. In hundredths.
  var leverage = LogNormal(median: 330, factor: 109, low: 130, high: 580)
  /// Notional in dollars, alike.
  var notional = LogNormal(median: 100_000, factor: 125, low: 5_000, high: 1_000_000)
  /// Options of each kind a seller sells, in dollars of the underlying.
  var written = LogNormal(median: 60_000, factor: 120, low: 10_000, high: 300_000)
  /// A seller's cash, millionths of what its options are of.
  var sellerCash: ClosedRange<Int64> = 170_000...300_000

  // The market.
  /// λ: what selling a whole day's volume moves for good.
  var lasting: Int64 = 50_000
  /// A day's volume over the notional open at the start.
  var volumePerInterest: Int64 = 1
  /// Share of a day's volume that stands within one per cent of the price, millionths: all makers
  /// together, with their first capital at the first volatility.
  var depth: Int64 = 2_500
  /// How far from the price the levels of a maker's ladder lie, hundredths of a per cent. Depth is
  /// in proportion to the distance between two levels.
  var ladder: [Int64] = [10, 35, 75, 150, 250, 400, 600, 850, 1_150, 1_500]
  /// What the arbitrageur leaves a step later of what a step's trades pulled the price away, in halves.
  var pullDivisor: Int64 = 2
  /// A maker withdraws when it has lost so much of its capital.
  var makerCapital: Int64 = 200_000
  var makerLossMax: Int64 = 200_000

  // Bidders.
  var botCapital: Int64 = 100_000
  /// Least profit wanted, millionths of the notional taken over.
  var botEdge: ClosedRange<Int64> = 2_000...30_000
  /// Whether, without auctions, bots rest bids and offers of their capital in the book instead.
  var botsInBook = false
  /// A bot sells on a part of what it holds each step.
  var unwinding: Int64 = 60

  // The house.
  var fund: Int64 = 10_000
  /// Notional under auction at once.
  var underAuction: Int64 = 100_000
  /// What the fund pays in a day beyond debts.
  var payoutDaily: Int64 = 5_000

  // The clock and the oracle.
  /// Milliseconds of a step, batches of a step, and milliseconds between those.
  var step: Int64 = 180_000
  var batches = 4
  var batchTime: Int64 = 1_000
  /// Per cent of steps at which two of three publishers fall silent, and for how many steps.
  var outagePercent = 2
  var outageSteps: ClosedRange<Int64> = 1...3
  /// Volatility that is not recorded: at the start, and what a fall of one adds as a factor.
  var volatility = Ratio(raw: 600_000_000)
  var volatilityRise: Int64 = 2

  struct LogNormal: Sendable {
    let median: Int64
    /// Hundredths, for each coin.
    let factor: Int64
    let low: Int64
    let high: Int64

    func draw(_ numbers: inout SeededNumbers) -> Int64 {
      let coins = numbers.next().nonzeroBitCount - 32
      var value = median
      for _ in 0..<coins.magnitude {
        value = coins > 0 ? value * factor / 100 : value * 100 / factor
      }
      return min(high, max(low, value))
    }
  }
}

extension SeededNumbers {
  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
  }
}

/// Integers of a storm: shares in millionths, each division towards zero.
enum Share {
  static let whole: Int64 = 1_000_000

  static func of(_ value: Int64, _ millionths: Int64) -> Int64 {
    Int64(clamping: Int128(value) * Int128(millionths) / Int128(whole))
  }

  /// Money of a quantity at a price.
  static func money(_ quantity: Int64, _ price: Int64) -> Int64 {
    Int64(clamping: Int128(quantity) * Int128(price) / Notional.perMoney)
  }

  /// Quantity that an amount of money is at a price.
  static func quantity(_ money: Int64, _ price: Int64) -> Int64 {
    Int64(clamping: Int128(money) * Notional.perMoney / Int128(max(1, price)))
  }

  /// ⌊√value⌋.
  static func root(_ value: Int128) -> Int128 {
    var (low, high) = (Int128(0), Int128(1) << 62)
    while low < high {
      let middle = (low + high + 1) / 2
      if middle * middle <= value { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
