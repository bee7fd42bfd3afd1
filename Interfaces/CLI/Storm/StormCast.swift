import Client
import Commitments
import Instruments
import Primitives
import Wire

/// Who plays in a storm and with how much, drawn from a seed; and the network they play on.
struct StormCast {
  /// Somebody with leverage: contracts of the perpetual, negative short.
  struct Trader {
    let account: AccountID
    let size: Int64
    let cash: Int64
  }

  /// Sells a put and a call each of so many contracts.
  struct Seller {
    let account: AccountID
    let size: Int64
    /// Places in `options`.
    let put: Int
    let call: Int
    let cash: Int64
  }

  struct Bot {
    let account: AccountID
    /// Least profit wanted, millionths of notional.
    let edge: Int64
  }

  struct Contract {
    let id: InstrumentID
    let strike: Int64
    let isCall: Bool
  }

  static let perpetual = InstrumentID(0)
  static let networkName = "novate-storm"
  static let tick = Price.scale / 10
  static let lot = Quantity.scale / 1_000
  static let underlying = "BTC"
  /// Keys are the same for every storm.
  private static let keySeed: UInt64 = 0x5354_4F52_4D
  /// Strikes in per cent of the first price, whole hundreds of dollars.
  private static let strikes: [(percent: Int64, isCall: Bool)] = [
    (90, false), (95, false), (105, true), (110, true),
  ]
  private static let life: Int64 = 30 * 86_400_000

  let traders: [Trader]
  let sellers: [Seller]
  let makers: [AccountID]
  let bots: [Bot]
  /// Takes what makers bought over to the outside market.
  let arbitrageur: AccountID
  let options: [Contract]
  let expiry: Timestamp
  /// Dollars open at the start, in money.
  let open: Int64
  let builder: GenesisBuilder

  init(
    seed: UInt64, _ path: StormPath, _ method: StormMethod, _ parameters: StormParameters
  ) throws {
    var numbers = SeededNumbers(seed: seed)
    var builder = GenesisBuilder(
      startTime: path.start)
    builder.name = StormCast.networkName
    builder.underlyings = [StormCast.underlying]
    builder.accountCount =
      parameters.longs + parameters.shorts + parameters.sellers + parameters.makers
      + parameters.bots + 1
    let minute: Int64 = 60_000
    expiry = Timestamp(raw: (path.start.raw + StormCast.life) / minute * minute)
    var rest = builder.traders[...]
    let price = path.points[0].price
    var open: Int64 = 0
    traders = (0..<(parameters.longs + parameters.shorts)).map { place in
      let leverage = parameters.leverage.draw(&numbers)
      let notional = parameters.notional.draw(&numbers) * Money.scale
      let size = StormCast.lots(Share.quantity(notional, price))
      open += notional
      return Trader(
        account: rest.removeFirst(), size: place < parameters.longs ? size : -size,
        cash: notional / leverage * 100)
    }
    sellers = (0..<parameters.sellers).map { _ in
      let notional = parameters.written.draw(&numbers) * Money.scale
      let (put, call) = (numbers.below(2), 2 + numbers.below(2))
      let cash = Share.of(2 * notional, numbers.within(parameters.sellerCash))
      open += 2 * notional
      return Seller(
        account: rest.removeFirst(), size: StormCast.lots(Share.quantity(notional, price)),
        put: put, call: call, cash: cash)
    }
    makers = (0..<parameters.makers).map { _ in rest.removeFirst() }
    bots = (0..<parameters.bots).map { _ in
      Bot(account: rest.removeFirst(), edge: numbers.within(parameters.botEdge))
    }
    arbitrageur = rest.removeFirst()
    self.open = open
    builder.listings = [try StormCast.listing(.perpetual)]
    var options: [Contract] = []
    for (place, strike) in StormCast.strikes.enumerated() {
      let hundred = 100 * Price.scale
      let raw = price / 100 * strike.percent / hundred * hundred
      options.append(
        Contract(
          id: InstrumentID(UInt32(place + 1)), strike: raw, isCall: strike.isCall))
      builder.listings.append(
        try StormCast.listing(
          .option(expiry: expiry, strike: Price(raw: raw), isCall: strike.isCall)))
    }
    self.options = options
    builder.constants = StormCast.constants(method, open, parameters)
    self.builder = builder
  }

  private static func listing(_ form: InstrumentName.Form) throws -> Listing {
    Listing(
      try InstrumentName(underlying: underlying, form: form), tick: Price(raw: tick),
      lot: Quantity(raw: lot))
  }

  static func lots(_ quantity: Int64) -> Int64 { max(lot, quantity / lot * lot) }
  static func ticks(_ price: Int64) -> Int64 { max(tick, price / tick * tick) }

  private static func constants(
    _ method: StormMethod, _ open: Int64, _ parameters: StormParameters
  ) -> Constants {
    var constants = Constants()
    // A step is minutes long, and no batch opens but for a publisher's word.
    constants.grantAgeMax = 86_400_000
    constants.heartbeat = 60_000
    guard method == .auction else { return constants }
    constants.auctionFast = 900_000
    constants.auctionInsolvent = 900_000
    constants.auctionNotionalMax = Share.of(open, parameters.underAuction)
    constants.auctionUnderlyingNotionalMax = constants.auctionNotionalMax
    constants.auctionPayoutMax = 20_000_000
    constants.auctionPayoutDailyMax = Share.of(open, parameters.payoutDaily)
    return constants
  }

  // MARK: - Money

  /// The custodian's payments: the fund, then everybody.
  func deposits(_ genesis: Genesis, _ parameters: StormParameters) -> [Action] {
    var payments = [(PublicKey.zero, Share.of(open, parameters.fund))]
    func pay(_ account: AccountID, _ cash: Int64) {
      payments.append((genesis.accounts[account.index], cash))
    }
    for trader in traders { pay(trader.account, trader.cash) }
    for seller in sellers { pay(seller.account, seller.cash) }
    for maker in makers { pay(maker, makerCash(parameters)) }
    for bot in bots {
      pay(bot.account, Share.of(open, parameters.botCapital) / Int64(bots.count))
    }
    // Hedged outside, where nobody asks it for margin.
    pay(arbitrageur, 4 * open)
    return payments.enumerated().map { place, payment in
      .deposit(
        asset: .quote, amount: Amount(raw: payment.1), owner: payment.0,
        reference: UInt64(place + 1))
    }
  }

  func makerCash(_ parameters: StormParameters) -> Int64 {
    Share.of(open, parameters.makerCapital) / Int64(makers.count)
  }

  // MARK: - Keys

  final class Key {
    let key: SigningKey
    init(_ key: consuming SigningKey) { self.key = key }
  }

  static func key(_ role: KeyRole) -> Key { Key(role.key(seed: keySeed)) }

  func genesis() throws -> Genesis { try builder.genesis(seed: StormCast.keySeed) }
}
