import Client
import Instruments
import Primitives
import Wire

/// Plays a tape: oracle words, makers' quotes, everybody's orders.
struct DemoPlay: ~Copyable {
  /// Actions of several accounts, in order.
  typealias Work = [(account: AccountID, actions: [Action])]

  /// A trade two accounts agree on off the book.
  struct Block {
    let buyer: AccountID
    let seller: AccountID
    let instrument: InstrumentID
    let price: Price
    let quantity: Quantity
  }

  let cast: DemoCast
  private let tape: any MarketTape
  private let publishers: [AccountID]
  private var numbers: SeededNumbers
  /// What the oracle has spoken of: options on others have no mark yet.
  private var known: Set<Feed> = []

  private struct Feed: Hashable {
    let underlying: String
    let expiry: Timestamp
  }

  init(tape: any MarketTape, builder: GenesisBuilder, seed: UInt64) {
    self.tape = tape
    publishers = builder.publishers
    cast = DemoCast(tape: tape, traders: builder.traders)
    numbers = SeededNumbers(seed: seed)
  }

  // MARK: - Oracle and quotes

  /// What each publisher says at a step; the third is always a little off, and outvoted.
  mutating func oracle(_ step: MarketStep, number: Int) -> Work {
    for slice in step.slices {
      known.insert(
        Feed(underlying: tape.underlyings[slice.underlying.index], expiry: slice.expiry))
    }
    return publishers.enumerated().map { place, account in
      var actions: [Action] = step.indices.map { index in
        let error = place == 2 ? index.price.raw / 2_000 : 0
        return .index(
          underlying: index.underlying, price: Price(raw: index.price.raw + error),
          time: step.time, sequence: UInt64(number + 1))
      }
      actions += step.slices.map { slice in
        .surface(
          underlying: slice.underlying, expiry: slice.expiry, forward: slice.forward,
          parameters: slice.parameters, time: step.time, sequence: UInt64(number + 1))
      }
      return (account, actions)
    }
  }

  /// Makers take their quotes away and quote both sides of everything anew.
  func quotes(_ step: MarketStep, number: Int) -> Work {
    var work: [AccountID: [Action]] = [:]
    for maker in cast.makers where number > 0 {
      work[maker] = [.cancelAll(instrument: .all)]
    }
    for quote in step.quotes where isKnown(quote.instrument) {
      let maker = cast.maker(of: quote.instrument)
      if let bid = quote.bid { work[maker, default: []].append(order(quote, .buy, bid, .gtc)) }
      if let ask = quote.ask { work[maker, default: []].append(order(quote, .sell, ask, .gtc)) }
    }
    return cast.makers.compactMap { maker in work[maker].map { (maker, $0) } }
  }

  private func isKnown(_ instrument: InstrumentID) -> Bool {
    let name = tape.listings[instrument.index].name
    guard case .option(let expiry, _, _) = name.form else { return true }
    return known.contains(Feed(underlying: name.underlying, expiry: expiry))
  }

  // MARK: - Leverage

  /// Steps over which positions on margin are built.
  private static let buildingSteps = 2
  private static let writingSteps = 6
  /// Puts are written this far below the index, at least so long before they expire.
  private static let writtenMoneyness = Ratio(raw: 920_000_000)
  private static let writtenLifeMin: Int64 = 4 * 86_400_000
  /// The hunter's bids: share of the first index, and dollars.
  private static let bargains: [(share: Ratio, dollars: Int64)] = [
    (Ratio(raw: 835_000_000), 1_900_000), (Ratio(raw: 815_000_000), 1_850_000),
    (Ratio(raw: 796_000_000), 7_250_000),
  ]

  /// The whale's trade, once.
  func block(_ step: MarketStep, number: Int) -> Block? {
    guard number == 0, let price = index(of: cast.whale.perpetual, step) else { return nil }
    let rounded = tick(cast.whale.perpetual, price)
    return Block(
      buyer: cast.whale.account, seller: cast.maker(of: cast.whale.perpetual),
      instrument: cast.whale.perpetual, price: rounded,
      quantity: size(of: cast.whale.dollars, at: rounded, cast.whale.perpetual))
  }

  /// What those on margin do at a step, and the hunter's bids at the first.
  func openings(_ step: MarketStep, number: Int) -> Work {
    var work: Work = []
    if number == 0, let price = index(of: cast.whale.perpetual, step) {
      let instrument = cast.whale.perpetual
      work.append(
        (
          cast.hunter,
          DemoPlay.bargains.map { share, dollars in
            let low = Price(
              raw: Int64(Int128(price.raw) * Int128(share.raw) / Int128(Ratio.scale)))
            let bid = tick(instrument, low)
            return order(instrument, .buy, bid, size(of: dollars, at: bid, instrument), .gtc)
          }
        ))
    }
    for long in cast.longs where number < DemoPlay.buildingSteps {
      guard let price = index(of: long.perpetual, step) else { continue }
      // Half a per cent above the index reaches every level of the makers' ladder.
      let limit = tick(long.perpetual, Price(raw: price.raw + price.raw / 200))
      let share = size(of: long.dollars / Int64(DemoPlay.buildingSteps), at: price, long.perpetual)
      work.append((long.account, [order(long.perpetual, .buy, limit, share, .ioc)]))
    }
    if number < DemoPlay.writingSteps, let quote = writtenPut(step), let bid = quote.bid {
      work.append((cast.writer, [order(quote, .sell, bid, .ioc)]))
    }
    return work
  }

  /// The put nearest to the strike that is written, of the first expiry far enough away.
  private func writtenPut(_ step: MarketStep) -> MarketStep.Quote? {
    guard let index = step.indices.first else { return nil }
    let wanted = Int64(
      Int128(index.price.raw) * Int128(DemoPlay.writtenMoneyness.raw) / Int128(Ratio.scale))
    var best: (quote: MarketStep.Quote, expiry: Timestamp, distance: UInt64)?
    for quote in step.quotes where quote.bid != nil && isKnown(quote.instrument) {
      let name = tape.listings[quote.instrument.index].name
      guard case .option(let expiry, let strike, isCall: false) = name.form,
        name.underlying == tape.underlyings[index.underlying.index],
        expiry.raw - step.time.raw >= DemoPlay.writtenLifeMin
      else { continue }
      let distance = (strike.raw - wanted).magnitude
      if let best, (best.expiry, best.distance) <= (expiry, distance) { continue }
      best = (quote, expiry, distance)
    }
    return best?.quote
  }

  // MARK: - Takers

  /// Orders of all takers together over a tape, more or less.
  private static let takesWanted = 8_000

  /// Takers trade at the quotes, in proportion to volume, down to the last level shown.
  mutating func takes(_ step: MarketStep) -> Work {
    var work: Work = []
    let quotes = step.quotes.filter { isKnown($0.instrument) }
    let total = quotes.reduce(0) { $0 + Int($1.weight) }
    guard total > 0 else { return work }
    let count = DemoPlay.takesWanted / (DemoCast.takerCount * tape.stepCount)
    for taker in cast.takers {
      var actions: [Action] = []
      for _ in 0..<min(max(count, 8), 64) {
        var pick = Int64(numbers.below(total))
        var place = 0
        while place < quotes.count - 1, pick >= quotes[place].weight {
          pick -= quotes[place].weight
          place += 1
        }
        let choice = quotes[place]
        let side: Side = numbers.below(2) == 0 ? .buy : .sell
        let parts = Int64(1 + numbers.below(4))
        let deepest = quotes[place...].prefix { $0.instrument == choice.instrument }.last ?? choice
        guard let price = side == .buy ? deepest.ask : deepest.bid else { continue }
        let lot = tape.listings[choice.instrument.index].lot.raw
        let size = max(lot, choice.size.raw / 40 / lot * lot * parts)
        actions.append(order(choice.instrument, side, price, Quantity(raw: size), .ioc))
      }
      if !actions.isEmpty { work.append((taker, actions)) }
    }
    return work
  }

  // MARK: - Orders

  private func index(of instrument: InstrumentID, _ step: MarketStep) -> Price? {
    let name = tape.listings[instrument.index].name.underlying
    return step.indices.first { tape.underlyings[$0.underlying.index] == name }?.price
  }

  private func tick(_ instrument: InstrumentID, _ price: Price) -> Price {
    let tick = tape.listings[instrument.index].tick.raw
    return Price(raw: max(tick, price.raw / tick * tick))
  }

  /// Contracts of a perpetual for an amount of dollars.
  private func size(of dollars: Int64, at price: Price, _ instrument: InstrumentID) -> Quantity {
    let lot = tape.listings[instrument.index].lot
    return Quantity.worth(dollars, at: price, lot: lot)
  }

  private func order(
    _ quote: MarketStep.Quote, _ side: Side, _ price: Price, _ tif: TimeInForce
  ) -> Action {
    order(quote.instrument, side, price, quote.size, tif)
  }

  private func order(
    _ instrument: InstrumentID, _ side: Side, _ price: Price, _ size: Quantity,
    _ tif: TimeInForce
  ) -> Action {
    .place(
      instrument: instrument, side: side, price: price, quantity: size, timeInForce: tif,
      postOnly: false, reduceOnly: false, clientID: 0)
  }
}

extension Quantity {
  /// As many contracts as an amount of dollars buys, in whole lots, at least one.
  static func worth(_ dollars: Int64, at price: Price, lot: Quantity) -> Quantity {
    let exact = Int128(dollars) * Int128(Price.scale) * Int128(Quantity.scale) / Int128(price.raw)
    return Quantity(raw: max(lot.raw, Int64(clamping: exact) / lot.raw * lot.raw))
  }
}
