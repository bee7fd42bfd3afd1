import CReference
import Instruments
import Margin
import Pricing
import Primitives

/// Every account rechecked after an oracle tick, against the same grid in plain C doubles.
///
/// One tick prices all contracts anew, mark and 32 scenarios each, by the production table, then finds the
/// worst scenario of every account's positions, exactly. The C side does the same work in doubles.
public enum MarginBenchmark {
  public struct Figure: Sendable {
    public let accounts: Int
    public let positions: Int
    public let contracts: Int
    /// Nanoseconds of processor time a tick: half of the rounds took less.
    public let nanoseconds: Double
    public let doubleNanoseconds: Double
    /// Of ours: the pricing of the contracts alone.
    public let pricingNanoseconds: Double
    /// C's time over ours: the median of rounds that measured one right after the other.
    public let speed: Double
    /// How far the two sums of worsts are apart, relative.
    public let difference: Double
  }

  private static let now: Int64 = 1_767_225_600_000
  private static let days: [Int64] = [2, 9, 16, 30, 58, 86, 121, 177, 268, 359]

  public static func run(accounts: Int, positions: Int, rounds: Int, seed: UInt64) -> Figure {
    var world = World(accounts: accounts, positions: positions, seed: seed)
    var (ours, theirs, pricing, ratios): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
    var (mine, other) = (0.0, 0.0)
    for round in 0..<max(rounds, 1) {
      let index = 60_000 + Int64(round % 64) * 7
      var (first, part, second) = (0.0, 0.0, 0.0)
      // In turn first and second.
      for side in [round % 2, 1 - round % 2] {
        if side == 0 {
          part = measured { world.reprice(index: index) }
          first = part + measured { mine = world.recheck() }
        } else {
          second = measured { other = world.reference(index: index) }
        }
      }
      ours.append(first)
      pricing.append(part)
      theirs.append(second)
      ratios.append(second / first)
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    return Figure(
      accounts: accounts, positions: positions, contracts: world.instruments.count,
      nanoseconds: median(ours), doubleNanoseconds: median(theirs),
      pricingNanoseconds: median(pricing), speed: median(ratios),
      difference: other == 0 ? 0 : abs(mine / other - 1))
  }

  private static func measured(_ body: () -> Void) -> Double {
    let start = reference_thread_seconds()
    body()
    return (reference_thread_seconds() - start) * 1e9
  }

  /// Contracts and accounts, in the ledger's integers and in doubles.
  private struct World: ~Copyable {
    var table = RiskTable()
    var instruments: [Instrument] = []
    private var exposures: [PositionExposure] = []
    private let held: Int
    private let accounts: Int
    private var contract: [Int32] = []
    private var quantity: [Double] = []
    private var isCall: [Int32] = []
    private var strike: [Double] = []
    private var factor: [Double] = []
    private var cover: [Double] = []
    private var units: [Double]
    private var worst: [Double]
    private static let perExpiry = 40

    init(accounts: Int, positions: Int, seed: UInt64) {
      held = positions
      self.accounts = accounts
      for days in MarginBenchmark.days {
        for place in 0..<World.perExpiry {
          let call = place % 2 == 0
          let strike = Int64(40_000 + place / 2 * 2_000)
          instruments.append(
            Instrument(
              id: InstrumentID(UInt32(instruments.count)), underlying: UnderlyingID(0),
              kind: .option, optionTypeCode: call ? 1 : 2,
              strike: Price(raw: strike * Price.scale),
              expiry: Timestamp(raw: MarginBenchmark.now + days * 86_400_000),
              tick: Price(raw: 1), lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: 1 << 40),
              priceMax: Price(raw: 1 << 50)))
          self.strike.append(Double(strike))
          isCall.append(call ? 1 : 0)
        }
      }
      var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
      func next(_ bound: Int) -> Int {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return Int((state &* 0x2545_F491_4F6C_DD1D).multipliedFullWidth(by: UInt64(bound)).high)
      }
      for _ in 0..<(accounts * positions) {
        let place = next(instruments.count)
        let raw = Int64(next(2_000_000_000)) - 1_000_000_000
        exposures.append(PositionExposure(InstrumentID(UInt32(place)), Quantity(raw: raw)))
        contract.append(Int32(place))
        quantity.append(Double(raw) * 1e-8)
      }
      for scenario in ScenarioSet.novate32 {
        factor.append(1 + Double(scenario.move.raw) * 1e-9)
        cover.append(Double(scenario.cover.raw) * 1e-9)
      }
      units = [Double](repeating: 0, count: instruments.count * 32)
      worst = [Double](repeating: 0, count: accounts)
    }

    private static let slice = SurfaceSlice(
      a: 10_000_000_000, b: 50_000_000_000, rho: -300_000_000_000, m: 10_000_000_000,
      sigma: 200_000_000_000)

    mutating func reprice(index: Int64) {
      let price = Price(raw: index * Price.scale)
      var market = UnderlyingMarket(index: price, time: Timestamp(raw: MarginBenchmark.now))
      for days in MarginBenchmark.days {
        market.slices.append(
          ExpirySlice(
            expiry: Timestamp(raw: MarginBenchmark.now + days * 86_400_000), forward: price,
            surface: World.slice, time: market.time))
      }
      for instrument in instruments { table.update(instrument, market: market) }
    }

    func recheck() -> Double {
      var sum: Int128 = 0
      let all = exposures.span
      for account in 0..<accounts {
        sum &+= table.worst(of: all.extracting(account * held..<(account + 1) * held)).raw
      }
      return Double(sum) * 1e-16
    }

    mutating func reference(index: Int64) -> Double {
      let slice = [0.01, 0.05, -0.3, 0.01, 0.2]
      let count = World.perExpiry
      for (place, days) in MarginBenchmark.days.enumerated() {
        let shock = TenorScaling.factor(
          time: days * 86_400_000, short: Ratio(raw: 300_000_000), long: Ratio(raw: 130_000_000))
        let scale = Double(shock.raw) * 1e-9
        let multiplier = ScenarioSet.novate32.map { scenario in
          switch scenario.volatility {
          case .same: 1.0
          case .up: 1 + 0.4 * scale
          case .down: 1 - 0.22 * scale
          }
        }
        let first = place * count
        let (calls, strikes) = (
          Array(isCall[first..<first + count]), Array(strike[first..<first + count])
        )
        var part = [Double](repeating: 0, count: count * 32)
        unsafe reference_units(
          Int32(count), calls, strikes, slice, Double(index), Double(days) / 365, factor,
          multiplier, cover, &part)
        units.replaceSubrange(first * 32..<(first + count) * 32, with: part)
      }
      return unsafe reference_recheck(
        Int32(accounts), Int32(held), contract, quantity, units, &worst)
    }
  }
}
