import Instruments
import Margin
import Pricing
import Primitives
import Wire

/// The built-in tape: the crash of `CrashFigures`, with steps between its snapshots, an option
/// chain on two underlyings and a perpetual on each.
struct CrashTape: MarketTape {
  /// Steps from one snapshot to the next.
  static let stepsBetween = 4

  let startTime = CrashFigures.firstSnapshot
  let underlyings = CrashFigures.underlyings
  let listings: [TapeListing]
  let stepCount = (CrashFigures.snapshots.count - 1) * CrashTape.stepsBetween + 1
  let title = "a crash fitted to real figures: two option chains and two perpetuals"
  private let contracts: [Contract]

  private struct Contract {
    let underlying: Int
    /// Nil for a perpetual.
    let expiry: Int?
    let strike: Price
    let isCall: Bool
    let weight: Int64
  }

  init() throws {
    var listings: [TapeListing] = []
    var contracts: [Contract] = []
    let tick = Price(raw: Price.scale / 10)
    for (underlying, name) in CrashFigures.underlyings.enumerated() {
      listings.append(
        TapeListing(
          name: try InstrumentName(underlying: name, form: .perpetual), tick: tick,
          lot: Quantity(raw: Quantity.scale / 1_000)))
      contracts.append(
        Contract(
          underlying: underlying, expiry: nil, strike: .zero, isCall: false, weight: 30_000))
      for (expiry, offset) in CrashFigures.expiries.enumerated() {
        let share = CrashFigures.volumeShare(underlying: underlying, expiry: expiry)
        for strike in CrashFigures.strikes(underlying: underlying, expiry: expiry) {
          for isCall in [true, false] {
            let form = InstrumentName.Form.option(
              expiry: Timestamp(raw: CrashFigures.firstSnapshot.raw + offset),
              strike: strike.price, isCall: isCall)
            listings.append(
              TapeListing(
                name: try InstrumentName(underlying: name, form: form), tick: tick,
                lot: Quantity(raw: Quantity.scale / 100)))
            let volume = isCall ? strike.callVolume : strike.putVolume
            contracts.append(
              Contract(
                underlying: underlying, expiry: expiry, strike: strike.price, isCall: isCall,
                weight: max(1, volume * share / 10_000)))
          }
        }
      }
    }
    self.listings = listings
    self.contracts = contracts
  }

  // MARK: - Steps

  func step(_ index: Int) -> MarketStep {
    let snapshot = index / CrashTape.stepsBetween
    let part = Int64(index % CrashTape.stepsBetween)
    let offset = between(CrashFigures.snapshots, snapshot, part)
    let time = Timestamp(raw: startTime.raw + offset)
    let indices = underlyings.indices.map { underlying in
      (
        underlying: UnderlyingID(UInt16(underlying)),
        price: price(underlying, snapshot, part)
      )
    }
    var slices: [MarketStep.Slice] = []
    for underlying in underlyings.indices {
      for expiry in CrashFigures.expiries.indices where offset < CrashFigures.expiries[expiry] {
        if let slice = slice(underlying, snapshot, part, expiry, offset) { slices.append(slice) }
      }
    }
    var quotes: [MarketStep.Quote] = []
    for (place, contract) in contracts.enumerated() {
      let id = InstrumentID(UInt32(place))
      let index = indices[contract.underlying].price
      if contract.expiry == nil {
        quotes += MakerDepth.ladder(id, index, listings[place], weight: contract.weight)
      } else if let quote = quote(id, contract, index, slices, time) {
        quotes.append(quote)
      }
    }
    return MarketStep(time: time, indices: indices, slices: slices, quotes: quotes)
  }

  /// A point on the straight line between two snapshots' values.
  private func between(_ values: [Int64], _ snapshot: Int, _ part: Int64) -> Int64 {
    guard part > 0 else { return values[snapshot] }
    let rise = values[snapshot + 1] - values[snapshot]
    return values[snapshot] + rise * part / Int64(CrashTape.stepsBetween)
  }

  private func price(_ underlying: Int, _ snapshot: Int, _ part: Int64) -> Price {
    let here = CrashFigures.index(underlying: underlying, snapshot: snapshot).raw
    guard part > 0 else { return Price(raw: here) }
    let next = CrashFigures.index(underlying: underlying, snapshot: snapshot + 1).raw
    return Price(raw: here + (next - here) / Int64(CrashTape.stepsBetween) * part)
  }

  /// Between snapshots the smile keeps its shape in moneyness; forward moves with the index and
  /// total variance shrinks with the time left, so what was free of arbitrage stays so.
  private func slice(
    _ underlying: Int, _ snapshot: Int, _ part: Int64, _ expiry: Int, _ offset: Int64
  ) -> MarketStep.Slice? {
    guard
      let slice = CrashFigures.slice(underlying: underlying, snapshot: snapshot, expiry: expiry)
    else { return nil }
    let end = CrashFigures.expiries[expiry]
    let left = Int128(end - offset)
    let whole = Int128(end - CrashFigures.snapshots[snapshot])
    func shrunk(_ value: Int64) -> Int64 { Int64(Int128(value) * left / whole) }
    let here = CrashFigures.index(underlying: underlying, snapshot: snapshot).raw
    let forward =
      Int128(slice.forward.raw) * Int128(price(underlying, snapshot, part).raw)
      / Int128(here)
    return MarketStep.Slice(
      underlying: UnderlyingID(UInt16(underlying)),
      expiry: Timestamp(raw: startTime.raw + end), forward: Price(raw: Int64(forward)),
      parameters: SurfaceParameters(
        a: shrunk(slice.a), b: shrunk(slice.b), rho: slice.rho, m: slice.m, sigma: slice.sigma))
  }

  private func quote(
    _ id: InstrumentID, _ contract: Contract, _ index: Price, _ slices: [MarketStep.Slice],
    _ time: Timestamp
  ) -> MarketStep.Quote? {
    guard let expiry = contract.expiry else { return nil }
    let end = Timestamp(raw: startTime.raw + CrashFigures.expiries[expiry])
    guard
      let slice = slices.first(where: {
        $0.underlying.index == contract.underlying && $0.expiry == end
      })
    else { return nil }
    let left = end.raw - time.raw
    let surface = SurfaceSlice(
      a: slice.parameters.a, b: slice.parameters.b, rho: slice.parameters.rho,
      m: slice.parameters.m, sigma: slice.parameters.sigma)
    let mark = Black76.price(
      contract.isCall ? .call : .put, forward: slice.forward, strike: contract.strike,
      volatility: surface.volatility(strike: contract.strike, forward: slice.forward, time: left),
      time: left
    ).raw
    let listing = listings[id.index]
    let tick = listing.tick.raw
    let spread = CrashFigures.spread(underlying: contract.underlying, expiry: expiry)
    let half = max(tick, Int64(Int128(mark) * Int128(spread.base.raw) / Int128(2 * Ratio.scale)))
    let bid = (mark - half) / tick * tick
    let ask = max(bid + tick, (mark + half + tick - 1) / tick * tick)
    return MarketStep.Quote(
      instrument: id, bid: bid > 0 ? Price(raw: bid) : nil, ask: Price(raw: ask),
      size: .worth(MakerDepth.optionDollars, at: index, lot: listing.lot),
      weight: contract.weight)
  }
}
