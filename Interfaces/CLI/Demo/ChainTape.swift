import Instruments
import Primitives
import Wire

/// A recorded option chain as a tape: each snapshot's own quotes, converted from coin by the
/// expiry's future, and a smile per expiry fitted to the snapshot's mark volatilities.
struct ChainTape: MarketTape {
  let startTime: Timestamp
  let underlyings: [String]
  let listings: [TapeListing]
  let stepCount: Int
  let title: String
  private let snapshots: [ChainFile.Snapshot]
  private let ids: [InstrumentName: InstrumentID]
  private let perpetuals: Int

  /// At most so many options are listed: those with the most volume and interest.
  static let optionsMax = 1_200

  init(_ path: String) throws {
    let file = try ChainFile(path: path)
    snapshots = file.snapshots
    stepCount = file.snapshots.count
    startTime = file.snapshots[0].time
    title = "\(stepCount) snapshots of \(path)"
    var names: Set<String> = []
    var activity: [InstrumentName: Int128] = [:]
    for snapshot in file.snapshots {
      for row in snapshot.rows where row.bid != nil || row.ask != nil {
        names.insert(row.name.underlying)
        let index = Int128(row.index.raw)
        activity[row.name, default: 0] +=
          Int128(row.volume.raw) * index + Int128(row.openInterest.raw) * index / 10
      }
    }
    guard !names.isEmpty else { throw ChainFileFailure.unquoted }
    let underlyings = names.sorted()
    self.underlyings = underlyings
    perpetuals = underlyings.count
    let chosen = activity.sorted {
      $0.value != $1.value ? $0.value > $1.value : $0.key.description < $1.key.description
    }.prefix(ChainTape.optionsMax).map(\.key).sorted { $0.description < $1.description }
    let tick = Price(raw: Price.scale / 10)
    var listings = try underlyings.map {
      TapeListing(
        name: try InstrumentName(underlying: $0, form: .perpetual), tick: tick,
        lot: Quantity(raw: Quantity.scale / 1_000))
    }
    listings += chosen.map {
      TapeListing(name: $0, tick: tick, lot: Quantity(raw: Quantity.scale / 100))
    }
    self.listings = listings
    var ids: [InstrumentName: InstrumentID] = [:]
    for (place, listing) in listings.enumerated() {
      ids[listing.name] = InstrumentID(UInt32(place))
    }
    self.ids = ids
  }

  func step(_ index: Int) -> MarketStep {
    let snapshot = snapshots[index]
    let time = snapshot.time
    var indices: [(underlying: UnderlyingID, price: Price)] = []
    var quotes: [MarketStep.Quote] = []
    for (place, name) in underlyings.enumerated() {
      let prices = snapshot.rows.filter { $0.name.underlying == name }.map(\.index).sorted()
      guard let price = prices.isEmpty ? nil : prices[prices.count / 2] else { continue }
      indices.append((UnderlyingID(UInt16(place)), price))
      let traded = snapshot.rows.reduce(0) {
        $1.name.underlying == name ? $0 + weight($1) : $0
      }
      // A perpetual trades three times what its options do.
      quotes += MakerDepth.ladder(
        InstrumentID(UInt32(place)), price, listings[place], weight: 3 * traded)
    }
    for row in snapshot.rows where row.expiry > time {
      guard let id = ids[row.name] else { continue }
      let bid = row.bid.flatMap { rounded(converted($0, row.future)) }
      var ask = row.ask.flatMap { rounded(converted($0, row.future)) }
      if let low = bid, let high = ask, high <= low {
        ask = Price(raw: low.raw + Price.scale / 10)
      }
      guard bid != nil || ask != nil else { continue }
      quotes.append(
        MarketStep.Quote(
          instrument: id, bid: bid, ask: ask,
          size: .worth(MakerDepth.optionDollars, at: row.index, lot: listings[id.index].lot),
          weight: weight(row)))
    }
    return MarketStep(time: time, indices: indices, slices: slices(snapshot), quotes: quotes)
  }

  /// The marks of the file, in dollars.
  func foreignMarks(_ index: Int) -> [(instrument: InstrumentID, price: Price)] {
    snapshots[index].rows.compactMap { row in
      ids[row.name].map { ($0, Price(raw: converted(row.mark, row.future))) }
    }
  }

  /// How often a contract trades: by its volume.
  private func weight(_ row: ChainFile.Row) -> Int64 { 1 + row.volume.raw / Quantity.scale }

  /// Coin per coin × dollars per coin: both 1e-8.
  private func converted(_ coin: Price, _ future: Price) -> Int64 {
    Int64(clamping: Int128(coin.raw) * Int128(future.raw) / Int128(Price.scale))
  }

  private func rounded(_ price: Int64) -> Price? {
    let tick = Price.scale / 10
    let value = (price + tick / 2) / tick * tick
    return value > 0 ? Price(raw: value) : nil
  }

  private func slices(_ snapshot: ChainFile.Snapshot) -> [MarketStep.Slice] {
    var slices: [MarketStep.Slice] = []
    for (place, name) in underlyings.enumerated() {
      let rows = snapshot.rows.filter { $0.name.underlying == name && $0.expiry > snapshot.time }
      for expiry in Set(rows.map(\.expiry)).sorted() {
        let chain = rows.filter { $0.expiry == expiry }
        // Rows are polled over some seconds; the middle one speaks for all.
        let forward = chain.map(\.future).sorted()[chain.count / 2]
        slices.append(
          MarketStep.Slice(
            underlying: UnderlyingID(UInt16(place)), expiry: expiry, forward: forward,
            parameters: ChainSmile.parameters(
              chain, forward: forward, time: expiry.raw - snapshot.time.raw)))
      }
    }
    return slices
  }
}
