import Client
import Instruments
import Primitives
import Wire

/// Who plays in a demo, and with how much money.
///
/// Makers quote, takers trade at random. Some begin with nearly all the leverage their margin
/// allows, so that a crash closes them: three buy perpetuals, one writes puts, and one buys in a
/// block far more than the book can take back. A bargain hunter rests bids far below the market.
struct DemoCast {
  /// Somebody who buys a perpetual on margin.
  struct Long {
    let account: AccountID
    let perpetual: InstrumentID
    let cash: Int64
    /// What is bought, in dollars.
    let dollars: Int64
  }

  let makers: [AccountID]
  let takers: [AccountID]
  let longs: [Long]
  /// Sells puts on the first underlying.
  let writer: AccountID
  /// Buys the last perpetual in one block trade with the maker of it.
  let whale: Long
  let hunter: AccountID
  /// Every perpetual, in order of instruments.
  let perpetuals: [InstrumentID]

  static let takerCount = 16
  /// What the insurance fund begins with, in dollars.
  static let insurance: Int64 = 5_000_000
  private static let longCount = 3
  /// Contracts a maker quotes: an account holds at most 128 positions.
  private static let contractsPerMaker = 100

  init(tape: any MarketTape, traders: [AccountID]) {
    let perpetuals = tape.listings.indices.filter { tape.listings[$0].name.form == .perpetual }
      .map { InstrumentID(UInt32($0)) }
    self.perpetuals = perpetuals
    var rest = traders[...]
    func next(_ count: Int) -> [AccountID] {
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    makers = next(DemoCast.makerCount(tape))
    takers = next(DemoCast.takerCount)
    let (first, last) = (perpetuals[0], perpetuals[perpetuals.count - 1])
    let accounts = next(DemoCast.longCount)
    longs = [
      Long(account: accounts[0], perpetual: first, cash: 200_000, dollars: 1_150_000),
      Long(account: accounts[1], perpetual: first, cash: 150_000, dollars: 750_000),
      Long(account: accounts[2], perpetual: last, cash: 100_000, dollars: 550_000),
    ]
    writer = next(1)[0]
    whale = Long(account: next(1)[0], perpetual: last, cash: 2_000_000, dollars: 12_000_000)
    hunter = next(1)[0]
  }

  private static func makerCount(_ tape: any MarketTape) -> Int {
    (tape.listings.count + contractsPerMaker - 1) / contractsPerMaker
  }

  /// Trader accounts a tape needs.
  static func accountCount(_ tape: any MarketTape) -> Int {
    makerCount(tape) + takerCount + longCount + 3
  }

  /// Everybody who trades with all the leverage there is.
  var margined: [AccountID] { longs.map(\.account) + [writer, whale.account] }

  func maker(of instrument: InstrumentID) -> AccountID {
    makers[instrument.index / DemoCast.contractsPerMaker]
  }

  /// The custodian's first payments: the insurance fund, then everybody.
  func deposits(_ genesis: Genesis) -> [Action] {
    var reference: UInt64 = 0
    func deposit(_ owner: PublicKey, _ dollars: Int64) -> Action {
      reference += 1
      return .deposit(
        asset: .quote, amount: Amount(raw: dollars * Money.scale), owner: owner,
        reference: reference)
    }
    func deposit(_ account: AccountID, _ dollars: Int64) -> Action {
      deposit(genesis.accounts[account.index], dollars)
    }
    return [deposit(.zero, DemoCast.insurance)] + makers.map { deposit($0, 25_000_000) }
      + takers.map { deposit($0, 1_000_000) } + longs.map { deposit($0.account, $0.cash) }
      + [deposit(writer, 180_000), deposit(whale.account, whale.cash), deposit(hunter, 6_000_000)]
  }
}
