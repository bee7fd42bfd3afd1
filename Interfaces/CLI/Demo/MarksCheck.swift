import Client
import Instruments
import Pricing
import Primitives
import Wire

/// How our option marks compare with those somebody else made of the same market.
struct MarksCheck {
  private let tape: any MarketTape
  /// Differences in units of price, and in 1e-9 of the index.
  private var differences: [(price: Int64, share: Int64)] = []
  /// Our marks at the newest step.
  private var newest: [(instrument: InstrumentID, mark: Price)] = []

  init(_ tape: any MarketTape) { self.tape = tape }

  /// Compares at a step what its surfaces give with the foreign marks.
  mutating func add(_ step: MarketStep, number: Int) {
    newest.removeAll(keepingCapacity: true)
    for (instrument, foreign) in tape.foreignMarks(number) {
      let name = tape.listings[instrument.index].name
      guard case .option(let expiry, let strike, let isCall) = name.form, expiry > step.time,
        let underlying = tape.underlyings.firstIndex(of: name.underlying),
        let index = step.indices.first(where: { $0.underlying.index == underlying })?.price,
        let slice = step.slices.first(where: {
          $0.underlying.index == underlying && $0.expiry == expiry
        })
      else { continue }
      let left = expiry.raw - step.time.raw
      let p = slice.parameters
      let surface = SurfaceSlice(a: p.a, b: p.b, rho: p.rho, m: p.m, sigma: p.sigma)
      let mark = Black76.price(
        isCall ? .call : .put, forward: slice.forward, strike: strike,
        volatility: surface.volatility(strike: strike, forward: slice.forward, time: left),
        time: left)
      newest.append((instrument, mark))
      let distance = Int64(clamping: (mark.raw - foreign.raw).magnitude)
      differences.append(
        (distance, Int64(Int128(distance) * Int128(Ratio.scale) / Int128(index.raw))))
    }
  }

  /// Asks execution for a few of the newest marks: they must be ours, to the last unit.
  /// - Throws: `DemoFailure` at the first that is not.
  func confirm(with execution: LayerClient) throws {
    let spacing = max(1, newest.count / 40)
    for place in stride(from: 0, to: newest.count, by: spacing) {
      let (instrument, mark) = newest[place]
      let name = tape.listings[instrument.index].name
      let theirs = try execution.book(instrument).word("mark")
      guard theirs == mark.decimal else {
        throw DemoFailure("mark of \(name): expected \(mark.decimal), execution has \(theirs)")
      }
    }
  }

  func tell() {
    guard !differences.isEmpty else { return }
    let prices = differences.map(\.price).sorted()
    let shares = differences.map(\.share).sorted()
    func text(_ place: Int) -> String {
      "\(Figures.price(Price(raw: prices[place]))) USD "
        + "(\(DecimalText.format(shares[place] / 1_000, digits: 4)) % of the index)"
    }
    Screen.say(
      "marks        \(Figures.grouped(prices.count)) of ours against the file's: half within "
        + "\(text(prices.count / 2)), nine tenths within \(text(prices.count * 9 / 10))")
  }
}
