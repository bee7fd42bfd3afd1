import Client
import Instruments
import Primitives
import Wire

/// Plays a tape: oracle updates, makers' quotes, takers' orders, some of them with all the leverage
/// they can get.
struct DemoPlay: ~Copyable {
  private let tape: any MarketTape
  private let builder: GenesisBuilder
  private var numbers: SeededNumbers
  private let makers: [AccountID]
  private let takers: [AccountID]
  /// Contracts a maker quotes: an account holds at most 128 positions.
  private static let contractsPerMaker = 100

  init(tape: any MarketTape, builder: GenesisBuilder, seed: UInt64) {
    self.tape = tape
    self.builder = builder
    numbers = SeededNumbers(seed: seed)
    let count = DemoPlay.makerCount(tape)
    makers = Array(builder.traders.prefix(count))
    takers = Array(builder.traders.dropFirst(count))
  }

  static func makerCount(_ tape: any MarketTape) -> Int {
    (tape.listings.count + contractsPerMaker - 1) / contractsPerMaker
  }

  static let takerCount = 16
  /// Takers who buy perpetuals with nearly all the leverage their margin allows.
  private static let leveragedCount = 4

  /// The custodian's first payments: makers, takers and the insurance fund.
  func deposits(_ genesis: Genesis) -> [Action] {
    var reference: UInt64 = 0
    func deposit(_ owner: PublicKey, _ dollars: Int64) -> Action {
      reference += 1
      return .deposit(
        asset: .quote, amount: Amount(raw: dollars * Money.scale), owner: owner,
        reference: reference)
    }
    var actions = [deposit(.zero, 5_000_000)]
    for maker in makers { actions.append(deposit(genesis.accounts[maker.index], 50_000_000)) }
    for (place, taker) in takers.enumerated() {
      let dollars: Int64 = place < DemoPlay.leveragedCount ? 200_000 : 1_000_000
      actions.append(deposit(genesis.accounts[taker.index], dollars))
    }
    return actions
  }

  /// What each publisher says at a step; the third is always a little off, and outvoted.
  func oracle(_ step: MarketStep, number: Int) -> [(account: AccountID, actions: [Action])] {
    builder.publishers.enumerated().map { place, account in
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

  /// Makers take their quotes away before the market moves.
  func withdrawals() -> [(account: AccountID, actions: [Action])] {
    makers.map { ($0, [.cancelAll(instrument: .all)]) }
  }

  /// Makers quote both sides of everything.
  func quotes(_ step: MarketStep) -> [(account: AccountID, actions: [Action])] {
    var work: [[Action]] = Array(repeating: [], count: makers.count)
    for quote in step.quotes {
      let maker = quote.instrument.index / DemoPlay.contractsPerMaker
      if let bid = quote.bid { work[maker].append(order(quote, .buy, bid, quote.size, .gtc)) }
      if let ask = quote.ask { work[maker].append(order(quote, .sell, ask, quote.size, .gtc)) }
    }
    return zip(makers, work).map { ($0, $1) }.filter { !$0.actions.isEmpty }
  }

  /// Takers trade at the quotes, in proportion to volume; the leveraged ones begin by buying
  /// perpetuals.
  mutating func takes(_ step: MarketStep, number: Int) -> [(account: AccountID, actions: [Action])] {
    var work: [(account: AccountID, actions: [Action])] = []
    if number == 0 { work += leveraged(step) }
    let total = step.quotes.reduce(0) { $0 + Int($1.weight) }
    guard total > 0 else { return work }
    for taker in takers {
      var actions: [Action] = []
      for _ in 0..<8 {
        var pick = Int64(numbers.below(total))
        var choice = step.quotes[0]
        for quote in step.quotes {
          choice = quote
          pick -= quote.weight
          if pick < 0 { break }
        }
        let side: Side = numbers.below(2) == 0 ? .buy : .sell
        guard let price = side == .buy ? choice.ask : choice.bid else { continue }
        let lot = tape.listings[choice.instrument.index].lot.raw
        let size = max(lot, choice.size.raw / 40 / lot * lot * Int64(1 + numbers.below(4)))
        actions.append(order(choice, side, price, Quantity(raw: size), .ioc))
      }
      if !actions.isEmpty { work.append((taker, actions)) }
    }
    return work
  }

  /// 200 000 dollars at a scan of 16 % carry a little over six times as much.
  private func leveraged(_ step: MarketStep) -> [(account: AccountID, actions: [Action])] {
    takers.prefix(DemoPlay.leveragedCount).enumerated().compactMap { place, taker in
      let quote = step.quotes[min(place % 2, step.quotes.count - 1)]
      guard let ask = quote.ask else { return nil }
      let lot = tape.listings[quote.instrument.index].lot.raw
      let dollars = Int128(1_150_000) * Int128(Price.scale)
      let size = Int64(dollars * Int128(Quantity.scale) / Int128(ask.raw)) / lot * lot
      let limit = Price(raw: (ask.raw + ask.raw / 500) / (Price.scale / 10) * (Price.scale / 10))
      // Several bites, as one quote is not deep enough.
      return (
        taker,
        (0..<4).map { _ in
          order(quote, .buy, limit, Quantity(raw: max(lot, size / 4 / lot * lot)), .ioc)
        }
      )
    }
  }

  private func order(
    _ quote: MarketStep.Quote, _ side: Side, _ price: Price, _ size: Quantity, _ tif: TimeInForce
  ) -> Action {
    .place(
      instrument: quote.instrument, side: side, price: price, quantity: size, timeInForce: tif,
      postOnly: false, reduceOnly: false, clientID: 0)
  }
}
