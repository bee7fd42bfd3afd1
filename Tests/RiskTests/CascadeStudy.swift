import Primitives

@testable import Risk

/// A market that falls and the accounts that fall with it: forced sales against the book beside
/// auctions, on the same path, the same accounts and the same arithmetic as clearing's.
///
/// Agents after quant.md 5.2: leveraged longs (leverage and size log-normal to the eye), bidders with
/// capital who bid only at a profit, carry initial margin and sell on what they took slowly; who of
/// them falls below maintenance is sold at market like anyone. All numbers are integers; a seed is
/// a run.
struct CascadeStudy {
  /// Published parameters.
  struct Parameters {
    var accounts = 300
    var bidders = 8
    /// Millionths of notional: novate-32's scan range, and 0.8 of it.
    var initial: Int64 = 160_000
    var maintenance: Int64 = 128_000
    var book = StudyBook.Terms()
    /// Bidders' capital over all open notional, millionths.
    var capital: Int64 = 100_000
    /// Parts in which a bidder sells on what it took, one a step.
    var unwinding: Int64 = 60
    /// Notional under auction at once over all open notional, millionths.
    var underAuction: Int64 = 100_000
    /// Milliseconds of a step.
    var step: Int64 = 180_000
  }

  enum Rule { case market, auction }

  struct Outcome: Hashable {
    /// Contracts closed by force, in 1e-8: notional would count less the further the price falls.
    var forced: Int128 = 0
    var liquidated = 0
    /// Of it by bidders who took too much.
    var forcedOfBidders: Int128 = 0
    var badDebt: Int64 = 0
    /// What accounts, bidders, fund and market gained in all: nothing, always.
    var imbalance: Int128 = 0
    var lowest: Int64 = .max
  }

  private struct Account {
    var cash: Int64
    /// Contracts in 1e-8.
    var size: Int64
    var auctionSince: Int64?
    /// Cash of earlier bidders, which later ones cannot take.
    var reserved: Int64 = 0
  }

  private struct Bidder {
    var cash: Int64
    var size: Int64 = 0
    /// Least profit wanted, millionths of value.
    var edge: Int64
  }

  let parameters: Parameters
  private var accounts: [Account] = []
  private var bidders: [Bidder] = []
  private var fund: Int64 = 0
  /// What the outside market holds of money, so that conservation is a sum.
  private var market: Int128 = 0
  private var rounding: Int128 = 0
  private var book: StudyBook
  private var price: Int64 { book.price }
  private var open: Int128 = 0
  private var caps: AuctionCaps
  private var outcome = Outcome()
  private let total: Int128

  /// Prices are in 1e-8; `start` is the first of the path.
  init(seed: UInt64, start: Int64, _ parameters: Parameters) throws {
    self.parameters = parameters
    var generator = Generator(seed: seed)
    for _ in 0..<parameters.accounts {
      // Twelve coins: log-normal to the eye. Leverage 1.3 … 6.2, notional 1 k … 1 M.
      let coins = Int64(generator.next().nonzeroBitCount) - 26
      let leverage = max(13, min(62, 30 + coins * 3 + generator.within(-5...5)))
      let notional =
        (Int64(1_000) << max(0, min(10, Int64(generator.next().nonzeroBitCount) - 26)))
        * Money.scale
      let size = Int64(Int128(notional) * 10_000_000_000 / Int128(start))
      let value = CascadeStudy.value(size, start)
      let equity = notional * 10 / leverage
      accounts.append(Account(cash: equity - value, size: size, auctionSince: nil))
      open += Int128(value)
    }
    let capital = open * Int128(parameters.capital) / 1_000_000
    for _ in 0..<parameters.bidders {
      bidders.append(
        Bidder(
          cash: Int64(capital / Int128(parameters.bidders)), edge: generator.within(2_000...30_000))
      )
    }
    book = StudyBook(parameters.book, start: start, open: open)
    let limit = Money(raw: Int64(open * Int128(parameters.underAuction) / 1_000_000))
    caps = AuctionCaps(totalMax: limit, marketMax: [limit])
    total =
      accounts.reduce(0) { $0 + Int128($1.cash) } + bidders.reduce(0) { $0 + Int128($1.cash) }
  }

  /// Money of a size at a price, rounded down.
  static func value(_ size: Int64, _ price: Int64) -> Int64 {
    Int64((Int128(size) * Int128(price)).divided(by: 10_000_000_000, rounding: .down))
  }

  /// Plays a path of prices; what impact moved stays.
  mutating func run(_ path: [Int64], _ rule: Rule) throws -> Outcome {
    for step in 1..<path.count {
      book.step(to: path[step])
      switch rule {
      case .market: sellWhatMust()
      case .auction: try auction(at: Int64(step) * parameters.step)
      }
      unwind()
      sellBidders()
      outcome.lowest = min(outcome.lowest, price)
    }
    var sum = accounts.reduce(Int128(0)) { $0 + Int128($1.cash) }
    sum += bidders.reduce(Int128(0)) { $0 + Int128($1.cash) }
    outcome.imbalance = sum + market + rounding + Int128(fund) - total
    for account in accounts { outcome.badDebt += max(0, 0 - equity(account)) }
    for bidder in bidders {
      outcome.badDebt += max(0, 0 - bidder.cash - CascadeStudy.value(bidder.size, price))
    }
    return outcome
  }

  private func equity(_ account: Account) -> Int64 {
    account.cash + CascadeStudy.value(account.size, price)
  }

  private func requirement(_ size: Int64, _ share: Int64) -> Int64 {
    CascadeStudy.share(CascadeStudy.value(size, price), share)
  }

  /// Millionths of a value, rounded up; values stay below 9e12 units, so the product fits.
  private static func share(_ value: Int64, _ share: Int64) -> Int64 {
    (value * share).divided(by: 1_000_000, rounding: .up)
  }

  /// Sells into the book and says what was got.
  private mutating func sell(_ size: Int64) -> Int64 {
    let got = book.sell(size)
    market -= Int128(got)
    return got
  }

  /// What must be sold at market to stand at initial margin again, of who is below maintenance.
  private func surplus(_ size: Int64, cash: Int64) -> Int64 {
    guard size > 0 else { return 0 }
    let value = CascadeStudy.value(size, price)
    let equity = cash + value
    guard equity < CascadeStudy.share(value, parameters.maintenance) else { return 0 }
    let keep = max(0, Int128(equity)) * 1_000_000 / Int128(parameters.initial)
    return size - Int64(min(Int128(size), keep * 10_000_000_000 / Int128(price)))
  }

  private mutating func sellWhatMust() {
    for place in accounts.indices {
      let size = surplus(accounts[place].size, cash: accounts[place].cash)
      guard size > 0 else { continue }
      outcome.liquidated += 1
      outcome.forced += Int128(size)
      accounts[place].size -= size
      accounts[place].cash += sell(size)
    }
  }

  /// The same for bidders who took too much.
  private mutating func sellBidders() {
    for place in bidders.indices {
      let size = surplus(bidders[place].size, cash: bidders[place].cash)
      guard size > 0 else { continue }
      outcome.forced += Int128(size)
      outcome.forcedOfBidders += Int128(size)
      bidders[place].size -= size
      bidders[place].cash += sell(size)
    }
  }

  /// Derive's auction over each account below maintenance, as far as the caps admit; all bids of a
  /// step at one price.
  private mutating func auction(at time: Int64) throws {
    let terms = PortfolioAuction.Terms.reference
    for place in accounts.indices {
      let account = accounts[place]
      guard account.size > 0 else { continue }
      let value = CascadeStudy.value(account.size, price)
      let marked = account.cash + value
      let net = marked - CascadeStudy.share(value, parameters.maintenance)
      guard net < 0 || account.auctionSince != nil else { continue }
      let figures = PortfolioAuction.Figures(
        marked: Money(raw: marked), net: Money(raw: net),
        reserved: Money(raw: account.reserved))
      let elapsed = time - (account.auctionSince ?? time)
      guard try figures.phase(terms, elapsed: elapsed) != .over else {
        accounts[place].auctionSince = nil
        accounts[place].reserved = 0
        continue
      }
      // What is under auction in this step; freed at its end, since price and size change.
      let admitted = caps.admit(Money(raw: value), to: 0, least: .zero)
      guard admitted.raw > 0 else { continue }
      if account.auctionSince == nil {
        accounts[place].auctionSince = time
        outcome.liquidated += 1
      }
      let part = Int64(Int128(admitted.raw) * Int128(Ratio.scale) / Int128(value))
      try offer(place, figures, elapsed: elapsed, partMax: part, terms)
    }
    caps.release(caps.total, from: 0)
  }

  private mutating func offer(
    _ place: Int, _ figures: PortfolioAuction.Figures, elapsed: Int64, partMax: Int64,
    _ terms: PortfolioAuction.Terms
  ) throws {
    let isInsolvent = figures.marked.raw < 0
    let discount = PortfolioAuction.discount(terms, elapsed: elapsed)
    let most = try PortfolioAuction.fractionMax(figures, discount: discount, terms)
    let whole =
      isInsolvent
      ? try Money.zero.subtracting(PortfolioAuction.payout(figures, elapsed: elapsed, terms))
      : try PortfolioAuction.cost(figures, discount: discount, fraction: .one).paid
    let notional = CascadeStudy.value(accounts[place].size, price)
    var bids: [AuctionBid] = []
    for (number, bidder) in bidders.enumerated() {
      // Worth the marked value less the edge on the notional taken over.
      let worst = figures.marked.raw - Int64(Int128(notional) * Int128(bidder.edge) / 1_000_000)
      let free =
        bidder.cash + CascadeStudy.value(bidder.size, price)
        - requirement(bidder.size, parameters.initial)
      let each =
        requirement(accounts[place].size, parameters.initial) + whole.raw - figures.marked.raw
      let fits =
        each <= 0
        ? Ratio.scale
        : Int64(min(Int128(Ratio.scale), Int128(max(0, free)) * Int128(Ratio.scale) / Int128(each)))
      bids.append(
        AuctionBid(
          account: AccountID(UInt32(number)), group: UInt32(number), wanted: fits,
          worst: Money(raw: worst), netAfter: .zero))
    }
    let outcomes = try BatchClearing.outcomes(
      of: bids, available: min(most.raw, partMax), price: whole, owner: .max)
    // Parts are of the portfolio as it stood, so they are taken from it all at once.
    let before = accounts[place]
    for (number, result) in outcomes.enumerated() {
      guard case .filled(let part) = result, part > 0 else { continue }
      let fraction = Ratio(raw: part)
      let size = Int64(Int128(before.size) * Int128(part) / Int128(Ratio.scale))
      let cash = Int64(
        (Int128(before.cash - before.reserved) * Int128(part)).divided(
          by: Int128(Ratio.scale), rounding: .down))
      let cost =
        isInsolvent
        ? try PortfolioAuction.insolventCost(
          figures, elapsed: elapsed, fraction: fraction, aboveMax: Money(raw: .max), terms)
        : try PortfolioAuction.cost(figures, discount: discount, fraction: fraction)
      accounts[place].size -= size
      accounts[place].cash += cost.received.raw - cash
      accounts[place].reserved += cost.received.raw
      bidders[number].size += size
      bidders[number].cash += cash - cost.paid.raw
      fund -= cost.fund.raw
      rounding += Int128(cost.paid.raw) + Int128(cost.fund.raw) - Int128(cost.received.raw)
      outcome.forced += Int128(size)
    }
  }

  /// Bidders sell on a part of what they hold.
  private mutating func unwind() {
    for place in bidders.indices where bidders[place].size > 0 {
      let size = bidders[place].size / parameters.unwinding + 1
      let part = min(size, bidders[place].size)
      bidders[place].size -= part
      bidders[place].cash += sell(part)
    }
  }
}
