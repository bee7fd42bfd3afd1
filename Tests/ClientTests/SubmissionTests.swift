import Client
import Commitments
import Instruments
import Primitives
import Testing
import Wire

@Suite("Submit files") struct SubmissionTests {
  static func read(_ text: String) throws -> [Result<Submission, SubmissionFailure>] {
    Array(SubmissionReader(Array(text.utf8), genesis: try seededGenesis()))
  }

  static func action(_ text: String) throws -> Action {
    let results = try read(text)
    try #require(results.count == 1)
    guard case .action(let action, _, _) = try results[0].get().content else {
      throw SubmissionFailure.Reason.csv(.column("no action"))
    }
    return action
  }

  static let hex = String(repeating: "ab", count: 32)
  static var bytes: Bytes32 { Bytes32(hex: hex) ?? .zero }

  struct Row: Sendable {
    let fields: String
    let action: Action
    init(_ fields: String, _ action: Action) {
      self.fields = fields
      self.action = action
    }
  }

  static let perpetual = InstrumentID(0)
  static let option = InstrumentID(2)

  static let rows = [
    Row(
      #""action":"limit","instrument":"BTC-PERP","side":"buy","price":"67867.5","quantity":"0.25""#,
      .place(
        instrument: perpetual, side: .buy, price: Price(raw: 6_786_750_000_000),
        quantity: Quantity(raw: 25_000_000), timeInForce: .gtc, postOnly: false,
        reduceOnly: false, clientID: 0)),
    Row(
      #""action":"limit","instrument":"BTC-27MAR26-60000-C","side":"sell","price":"1e2","quantity":"3","tif":"ioc","post_only":false,"reduce_only":true,"client_id":"18446744073709551615""#,
      .place(
        instrument: option, side: .sell, price: Price(raw: 10_000_000_000),
        quantity: Quantity(raw: 300_000_000), timeInForce: .ioc, postOnly: false,
        reduceOnly: true, clientID: .max)),
    Row(
      #""action":"limit","instrument":"BTC-PERP","side":"buy","price":"1","quantity":"2","good_till_ms":"99","post_only":true,"slide":true,"display_quantity":"0.5","self_trade":"decrement_both""#,
      .order(
        OrderTerms(
          instrument: perpetual, side: .buy, price: Price(raw: 100_000_000),
          quantity: Quantity(raw: 200_000_000), timeInForce: .gtt, postOnly: .slide,
          expiry: Timestamp(raw: 99), display: Quantity(raw: 50_000_000),
          selfTrade: .decrementBoth))),
    Row(
      #""action":"market","instrument":"BTC-PERP","side":"sell","quantity":"2""#,
      .order(
        OrderTerms(
          instrument: perpetual, side: .sell, price: .zero, quantity: Quantity(raw: 200_000_000),
          timeInForce: .ioc, isMarket: true))),
    Row(
      #""action":"market","instrument":"BTC-PERP","side":"sell","quantity":"2","protection_price":"3","tif":"fok","reduce_only":true,"client_id":4,"self_trade":"cancel_both""#,
      .order(
        OrderTerms(
          instrument: perpetual, side: .sell, price: Price(raw: 300_000_000),
          quantity: Quantity(raw: 200_000_000), timeInForce: .fok, isReduceOnly: true,
          isMarket: true, clientID: 4, selfTrade: .cancelBoth))),
    Row(
      #""action":"stop","instrument":"BTC-PERP","side":"sell","quantity":"2","trigger_price":"3","reduce_only":true,"good_till_ms":"9""#,
      .trigger(
        TriggerTerms(
          order: OrderTerms(
            instrument: perpetual, side: .sell, price: .zero,
            quantity: Quantity(raw: 200_000_000), timeInForce: .ioc, isReduceOnly: true,
            isMarket: true, expiry: Timestamp(raw: 9)),
          direction: .falls, price: Price(raw: 300_000_000)))),
    Row(
      #""action":"take_profit","instrument":"BTC-PERP","side":"sell","quantity":"2","price":"1","trigger_price":"3","trigger_by":"index","client_id":"5","post_only":true"#,
      .trigger(
        TriggerTerms(
          order: OrderTerms(
            instrument: perpetual, side: .sell, price: Price(raw: 100_000_000),
            quantity: Quantity(raw: 200_000_000), postOnly: .reject, clientID: 5),
          source: .index, direction: .rises, price: Price(raw: 300_000_000)))),
    Row(
      #""action":"replace","instrument":"BTC-PERP","order":"17","price":"1","quantity":"2""#,
      .replace(
        OrderReplacement(
          instrument: perpetual, name: .order(OrderID(17)), price: Price(raw: 100_000_000),
          quantity: Quantity(raw: 200_000_000)))),
    Row(
      #""action":"replace","instrument":"BTC-PERP","client_id":"17","price":"1","quantity":"2","post_only":true,"self_trade":"cancel_taker","new_client_id":"18","if_left":"0.25""#,
      .replace(
        OrderReplacement(
          instrument: perpetual, name: .client(17), price: Price(raw: 100_000_000),
          quantity: Quantity(raw: 200_000_000), postOnly: .reject, selfTrade: .cancelTaker,
          newClientID: 18, expectedLeft: Quantity(raw: 25_000_000)))),
    Row(
      #""action":"cancel_all","underlying":"ETH","side":"sell""#,
      .cancelOrders(.underlying(UnderlyingID(1)), side: .sell)),
    Row(
      #""action":"cancel_all","instrument":"BTC-PERP","side":"buy""#,
      .cancelOrders(.instrument(perpetual), side: .buy)),
    Row(#""action":"cancel_after","after_ms":"5000""#, .timer(milliseconds: 5_000)),
    Row(#""action":"cancel_after","after_ms":0"#, .timer(milliseconds: 0)),
    Row(
      #""action":"protect","underlying":"ETH","window_ms":"1000","frozen_ms":"2000","fill_limit":"3","quantity_limit":"4","delta_limit":"0.5","vega_limit":"60""#,
      .protect(
        QuoteProtection(
          underlying: UnderlyingID(1), window: 1_000, frozen: 2_000, fills: 3,
          quantity: Quantity(raw: 400_000_000), delta: Quantity(raw: 50_000_000),
          vega: Money(raw: 60_000_000)))),
    Row(#""action":"reset_protection","underlying":"BTC""#, .resetProtection(UnderlyingID(0))),
    Row(
      #""action":"mass_quote","underlying":"BTC","quotes":[{"instrument":"BTC-27MAR26-60000-C","ask":"3","ask_quantity":"4"},{"instrument":"BTC-PERP","bid":"1","bid_quantity":"2","ask":"3","ask_quantity":"4"}]"#,
      .massQuote(
        MassQuote(
          underlying: UnderlyingID(0),
          entries: [
            QuoteEntry(
              instrument: perpetual, bid: Price(raw: 100_000_000),
              bidQuantity: Quantity(raw: 200_000_000), ask: Price(raw: 300_000_000),
              askQuantity: Quantity(raw: 400_000_000)),
            QuoteEntry(
              instrument: option, ask: Price(raw: 300_000_000),
              askQuantity: Quantity(raw: 400_000_000)),
          ]))),
    Row(
      #""action":"mass_quote","underlying":"BTC","quotes":[],"pull_others":true,"post_only":true,"slide":true,"self_trade":"cancel_taker""#,
      .massQuote(
        MassQuote(
          underlying: UnderlyingID(0), entries: [], pullsOthers: true, postOnly: .slide,
          selfTrade: .cancelTaker))),
    Row(
      #""action":"limit","instrument":"BTC-27MAR26-60000-C","side":"sell","volatility":"0.6125","quantity":"2","post_only":true,"client_id":"5""#,
      .volatility(
        VolatilityOrder(
          OrderTerms(
            instrument: option, side: .sell, price: .zero, quantity: Quantity(raw: 200_000_000),
            postOnly: .reject, clientID: 5), volatility: Ratio(raw: 612_500_000)))),
    Row(
      #""action":"combination","net_limit":"-12.5","self_trade":"cancel_both","legs":[{"instrument":"BTC-27MAR26-60000-C","side":"sell","quantity":"3","price":"2"},{"instrument":"BTC-PERP","side":"buy","quantity":"1"}]"#,
      .combination(
        Combination(
          legs: [
            CombinationLeg(
              instrument: perpetual, side: .buy, quantity: Quantity(raw: 100_000_000)),
            CombinationLeg(
              instrument: option, side: .sell, quantity: Quantity(raw: 300_000_000),
              price: Price(raw: 200_000_000)),
          ], netLimit: Money(raw: -12_500_000), selfTrade: .cancelBoth))),
    Row(#""action":"session""#, .openSession(.instrument(.all))),
    Row(#""action":"session","underlying":"ETH""#, .openSession(.underlying(UnderlyingID(1)))),
    Row(#""action":"end_session","session":"13""#, .endSession(number: 13)),
    Row(
      #""action":"cancel","instrument":"BTC-PERP","order":"17""#,
      .cancel(instrument: perpetual, order: OrderID(17))),
    Row(
      #""action":"cancel","instrument":"BTC-PERP","client_id":5"#,
      .cancelClient(instrument: perpetual, clientID: 5)),
    Row(#""action":"cancel_all""#, .cancelAll(instrument: .all)),
    Row(#""action":"cancel_all","instrument":"all""#, .cancelAll(instrument: .all)),
    Row(
      #""action":"cancel_all","instrument":"ETH-PERP""#, .cancelAll(instrument: InstrumentID(1))),
    Row(
      #""action":"withdraw","asset":"USDC","amount":"12.5","destination":"\#(hex)""#,
      .withdraw(asset: .quote, amount: Amount(raw: 12_500_000), destination: bytes)),
    Row(
      #""action":"deposit","asset":"BTC","amount":"0.00000001","owner":"\#(hex)","reference":"9""#,
      .deposit(asset: AssetID(1), amount: Amount(raw: 1), owner: bytes, reference: 9)),
    Row(
      #""action":"release","withdrawal":"3","reference":"\#(hex)""#,
      .release(withdrawal: 3, reference: bytes)),
    Row(
      #""action":"add_key","key":"\#(hex)","underlying":"ETH","key_expires_ms":"99""#,
      .addKey(key: bytes, markets: .all(of: UnderlyingID(1)), expiry: Timestamp(raw: 99))),
    Row(
      #""action":"add_key","key":"\#(hex)","instrument":"BTC-PERP","key_expires_ms":"99""#,
      .addKey(key: bytes, markets: perpetual, expiry: Timestamp(raw: 99))),
    Row(
      #""action":"add_key","key":"\#(hex)","key_expires_ms":99"#,
      .addKey(key: bytes, markets: .all, expiry: Timestamp(raw: 99))),
    Row(#""action":"revoke_key","key":"\#(hex)""#, .revokeKey(key: bytes)),
    Row(
      #""action":"index","underlying":"ETH","price":"2000.01","time_ms":"1767225600001","sequence":"4""#,
      .index(
        underlying: UnderlyingID(1), price: Price(raw: 200_001_000_000),
        time: Timestamp(raw: 1_767_225_600_001), sequence: 4)),
    Row(
      #""action":"impact","instrument":"BTC-PERP","price":"68000.5","time_ms":"5","sequence":"6""#,
      .impact(
        instrument: perpetual, price: Price(raw: 6_800_050_000_000), time: Timestamp(raw: 5),
        sequence: 6)),
    Row(
      #""action":"surface","underlying":"BTC","expiry_ms":"1774598400000","forward":"68000","a":"0.01","b":"0.1","rho":"-0.3","m":"0","sigma":"0.2","time_ms":"1","sequence":"1""#,
      .surface(
        underlying: UnderlyingID(0), expiry: Timestamp(raw: 1_774_598_400_000),
        forward: Price(raw: 6_800_000_000_000),
        parameters: SurfaceParameters(
          a: 10_000_000_000, b: 100_000_000_000, rho: -300_000_000_000, m: 0,
          sigma: 200_000_000_000), time: Timestamp(raw: 1), sequence: 1)),
    Row(
      #""action":"halt","instrument":"BTC-PERP""#, .halt(instrument: perpetual, halted: true)),
    Row(
      #""action":"halt","instrument":"BTC-PERP","halted":false"#,
      .halt(instrument: perpetual, halted: false)),
    Row(
      #""action":"margin","terms":\#(MarginTerms.novate32.jsonValue.text())"#,
      .margin(.novate32)),
    Row(
      #""action":"list","instrument":"ETH-27MAR26","tick":"0.5","lot":"0.01","order_quantity_max":"100","price_max":"50000","maker_fee":"0","taker_fee":"0.0005""#,
      .list(
        Instrument(
          id: InstrumentID(0), underlying: UnderlyingID(1), kind: .future,
          expiry: Timestamp(raw: 1_774_598_400_000), tick: Price(raw: 50_000_000),
          lot: Quantity(raw: 1_000_000), orderQuantityMax: Quantity(raw: 10_000_000_000),
          priceMax: Price(raw: 5_000_000_000_000), takerFee: Ratio(raw: 500_000),
          priceBand: Listing.defaultPriceBand, settlementSamples: 24))),
    Row(
      #""action":"list","instrument":"ETH-27MAR26","tick":"0.5","lot":"0.01","order_quantity_max":"100","price_max":"50000","maker_fee":"0","taker_fee":"0","price_band":"0""#,
      .list(
        Instrument(
          id: InstrumentID(0), underlying: UnderlyingID(1), kind: .future,
          expiry: Timestamp(raw: 1_774_598_400_000), tick: Price(raw: 50_000_000),
          lot: Quantity(raw: 1_000_000), orderQuantityMax: Quantity(raw: 10_000_000_000),
          priceMax: Price(raw: 5_000_000_000_000), settlementSamples: 24))),
    Row(
      #""action":"list","instrument":"ETH-27MAR26","tick":"0.5","lot":"0.01","order_quantity_max":"100","price_max":"50000","maker_fee":"0.0001","taker_fee":"0.0005","price_band":"0","fee_tiers":2,"fee_tier_volume":"1000000","fee_tier_maker_step":100,"fee_tier_taker_step":50,"settlement_samples":0,"call_ms":60000,"auction_interval_ms":"250""#,
      .list(
        Instrument(
          id: InstrumentID(0), underlying: UnderlyingID(1), kind: .future,
          expiry: Timestamp(raw: 1_774_598_400_000), tick: Price(raw: 50_000_000),
          lot: Quantity(raw: 1_000_000), orderQuantityMax: Quantity(raw: 10_000_000_000),
          priceMax: Price(raw: 5_000_000_000_000), makerFee: Ratio(raw: 100_000),
          takerFee: Ratio(raw: 500_000),
          tiers: FeeTiers(
            count: 2, volume: Money(raw: 1_000_000_000_000), makerStep: 100, takerStep: 50),
          callDuration: 60_000, auctionInterval: 250))),
  ]

  @Test("a line is the action it spells, and one that a bundle may hold", arguments: rows)
  func actions(row: Row) throws {
    let action = try Self.action(#"{"id":"x","account":"7",\#(row.fields)}"#)
    #expect(action == row.action)
    let key = KeyRole.account(AccountID(7)).key(seed: 7)
    let bundle = Bundle.signed(
      [action], account: AccountID(7), nonce: 1, expiry: Timestamp(raw: 1), network: .zero, by: key)
    #expect(throws: Never.self) { try Bundle(bundle.bytes) }
  }

  @Test("a block trade takes the counterparty's signature")
  func block() throws {
    let genesis = try seededGenesis()
    let key = KeyRole.account(AccountID(8)).key(seed: 7)
    let trade = BlockTrade.signed(
      instrument: Self.perpetual, side: .buy, price: Price(raw: 100 * Price.scale),
      quantity: Quantity(raw: Quantity.scale), reference: 4, counterparty: AccountID(8), nonce: 2,
      expiry: Timestamp(raw: 77), network: genesis.networkID, by: key)
    let line = """
      {"id":"x","account":"7","action":"block","instrument":"BTC-PERP","side":"buy","price":"100",\
      "quantity":"1","reference":"4","counterparty":"8","counterparty_key":"\(key.publicKey)",\
      "counterparty_nonce":"2","counterparty_expires_ms":"77","signature":"\(trade.signature)"}
      """
    #expect(try Self.action(line) == .block(trade))
    #expect(trade.isSigned(network: genesis.networkID))
    let hedged = BlockTrade.signed(
      instrument: Self.option, side: .buy, price: Price(raw: 100 * Price.scale),
      quantity: Quantity(raw: Quantity.scale),
      hedge: BlockLeg(
        instrument: Self.perpetual, side: .sell, price: Price(raw: 60 * Price.scale),
        quantity: Quantity(raw: Quantity.scale / 2)), reference: 4, counterparty: AccountID(8),
      nonce: 2, expiry: Timestamp(raw: 77), network: genesis.networkID, by: key)
    let second = #""hedge_instrument":"BTC-PERP","hedge_side":"sell","hedge_price":"60","#
    let text =
      line.replacing("BTC-PERP", with: "BTC-27MAR26-60000-C")
      .replacing("\(trade.signature)", with: "\(hedged.signature)")
      .replacing(#""reference""#, with: second + #""hedge_quantity":"0.5","reference""#)
    #expect(try Self.action(text) == .block(hedged))
    #expect(hedged.isSigned(network: genesis.networkID))
    for key in ["hedge_instrument", "hedge_side", "hedge_price", "hedge_quantity"] {
      #expect(throws: (any Error).self, "\(key)") {
        try Self.action(text.replacing("\"\(key)\":", with: "\"id_\(key)\":"))
      }
    }
    let alone = line.replacing(#""reference""#, with: #""hedge_price":"1","reference""#)
    #expect(throws: (any Error).self) { try Self.action(alone) }
  }

  @Test("a signed bundle is taken as it is, and a damaged one is not")
  func signed() throws {
    let key = KeyRole.account(AccountID(7)).key(seed: 7)
    let bundle = Bundle.signed(
      [.cancelAll(instrument: .all)], account: AccountID(7), nonce: 1,
      expiry: Timestamp(raw: 9), network: .zero, by: key)
    let hex = Hexadecimal.text(bundle.bytes.rawSpan)
    let line = #"{"id":"b","signed":"\#(hex)"}"#
    guard case .signed(let found) = try Self.read(line)[0].get().content else {
      Issue.record("expected a signed bundle")
      return
    }
    #expect(found.bytes == bundle.bytes)
    for text in [String(hex.dropLast(2)), hex + "00", "zz", String(hex.dropLast())] {
      let results = try Self.read(#"{"id":"b","signed":"\#(text)"}"#)
      guard case .failure(let failure) = results[0] else {
        Issue.record("accepted \(text)")
        continue
      }
      #expect(failure.id == "b")
    }
  }

  struct Fault: Sendable {
    let line: String, message: String
    init(_ line: String, _ message: String) {
      self.line = line
      self.message = message
    }
  }

  static func limit(_ replaced: String, _ value: String?) -> String {
    var pairs = [
      ("id", "\"x\""), ("account", "\"7\""), ("action", "\"limit\""),
      ("instrument", "\"BTC-PERP\""), ("side", "\"buy\""), ("price", "\"1\""),
      ("quantity", "\"1\""),
    ]
    if let place = pairs.firstIndex(where: { $0.0 == replaced }) {
      if let value { pairs[place].1 = value } else { pairs.remove(at: place) }
    } else if let value {
      pairs.append((replaced, value))
    }
    return "{" + pairs.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
  }

  static let faults = [
    Fault("{", "the text ends inside a value at byte 1"),
    Fault("[]", "expected an object around it"),
    Fault(limit("id", nil), #"expected key "id", found none"#),
    Fault(limit("id", "7"), #""id": expected a string, found a number"#),
    Fault(limit("account", nil), #"expected key "account", found none"#),
    Fault(limit("account", #""-1""#), #""account": the number does not fit its unit"#),
    Fault(limit("account", #""x""#), #""account": expected an integer, found "x""#),
    Fault(
      limit("action", #""buy""#), #""action": expected one of limit, market, stop, take_profit,"#),
    Fault(limit("side", #""long""#), #""side": expected buy or sell, found "long""#),
    Fault(limit("price", "1"), #""price": expected a string, found a number"#),
    Fault(limit("price", #""0""#), "price at offset 0 is outside its domain"),
    Fault(limit("price", #""-1""#), "price at offset 0 is outside its domain"),
    Fault(limit("price", #""0.000000001""#), #""price": the number has more digits than its unit"#),
    Fault(limit("price", #""1e20""#), #""price": the number does not fit its unit"#),
    Fault(limit("quantity", #""0""#), "quantity at offset 0 is outside its domain"),
    Fault(limit("quantity", #""1,5""#), #""quantity": expected a decimal number"#),
    Fault(limit("instrument", #""BTC""#), "expected a name such as BTC-PERP"),
    Fault(
      limit("instrument", #""BTC-27MAR26""#),
      #""instrument": expected a listed instrument, found "BTC-27MAR26""#),
    Fault(limit("tif", #""day""#), #""tif": expected gtc, gtt, ioc or fok, found "day""#),
    Fault(limit("post_only", #""true""#), #""post_only": expected a boolean, found a string"#),
    Fault(limit("order", #""1""#), #"found unknown key "order""#),
    Fault(limit("signed", #""00""#), #"found unknown key "account""#),
    Fault(
      #"{"id":"x","account":"7","action":"limit","action":"limit"}"#,
      #"found key "action" twice"#),
    Fault(
      #"{"id":"x","account":"7","action":"limit","instrument":"BTC-PERP","side":"buy","price":"1","quantity":"1","tif":"ioc","post_only":true}"#,
      "post-only with ioc or fok"),
    Fault(
      #"{"id":"x","account":"7","action":"limit","instrument":"BTC-PERP","side":"buy","price":"1","quantity":"1","slide":true}"#,
      "expected post_only beside it"),
    Fault(
      #"{"id":"x","account":"7","action":"limit","instrument":"BTC-PERP","side":"buy","price":"1","quantity":"1","tif":"ioc","good_till_ms":"5"}"#,
      "order expiry"),
    Fault(
      #"{"id":"x","account":"7","action":"market","instrument":"BTC-PERP","side":"buy","quantity":"1","tif":"gtc"}"#,
      "expected ioc or fok"),
    Fault(
      #"{"id":"x","account":"7","action":"limit","instrument":"BTC-PERP","side":"buy","price":"1","quantity":"1","self_trade":"none"}"#,
      "expected cancel_resting, cancel_taker, cancel_both or decrement_both"),
    Fault(
      #"{"id":"x","account":"7","action":"cancel_all","underlying":"BTC","instrument":"BTC-PERP"}"#,
      "expected none beside underlying"),
    Fault(
      #"{"id":"x","account":"7","action":"mass_quote","underlying":"BTC","quotes":[{"instrument":"BTC-PERP","bid":"2","bid_quantity":"1","ask":"2","ask_quantity":"1"}]}"#,
      "quote"),
    Fault(
      #"{"id":"x","account":"7","action":"mass_quote","underlying":"BTC","quotes":[{"instrument":"BTC-PERP","size":"2"}]}"#,
      "unknown key"),
    Fault(
      #"{"id":"x","account":"7","action":"mass_quote","underlying":"BTC","quotes":[]}"#,
      "number of quotes"),
    Fault(
      #"{"id":"x","account":"7","action":"protect","underlying":"BTC","window_ms":"1000"}"#,
      "protection without a limit"),
    Fault(
      #"{"id":"x","account":"7","action":"cancel_after","after_ms":"5"}"#, "timer"),
    Fault(
      #"{"id":"x","account":"7","action":"stop","instrument":"BTC-PERP","side":"buy","quantity":"1","trigger_price":"0"}"#,
      "trigger price"),
    Fault(
      #"{"id":"x","account":"7","action":"stop","instrument":"BTC-PERP","side":"buy","quantity":"1","trigger_price":"1","trigger_by":"last"}"#,
      #"expected mark or index, found "last""#),
    Fault(
      #"{"id":"x","account":"7","action":"stop","instrument":"BTC-PERP","side":"buy","quantity":"1","trigger_price":"1","post_only":true}"#,
      #"expected a price beside it, found "none""#),
    Fault(
      #"{"id":"x","account":"7","action":"take_profit","instrument":"BTC-PERP","side":"buy","quantity":"1","trigger_price":"1","price":"1","protection_price":"1"}"#,
      #"expected none beside price, found "1""#),
    Fault(
      #"{"id":"x","account":"7","action":"cancel","instrument":"BTC-PERP"}"#,
      #"expected key "order", found none"#),
    Fault(
      #"{"id":"x","account":"7","action":"cancel","instrument":"BTC-PERP","order":"1","client_id":"1"}"#,
      #"expected order or client_id, found "both""#),
    Fault(
      #"{"id":"x","account":"7","action":"withdraw","asset":"EUR","amount":"1","destination":"00"}"#,
      #""asset": expected one of USDC, BTC, found "EUR""#),
    Fault(
      #"{"id":"x","account":"7","action":"withdraw","asset":"USDC","amount":"0.0000001","destination":"00"}"#,
      #""amount": the number has more digits than its unit"#),
    Fault(
      #"{"id":"x","account":"7","action":"withdraw","asset":"USDC","amount":"1","destination":"00"}"#,
      #""destination": expected 64 hexadecimal digits, found "00""#),
    Fault(
      #"{"id":"x","account":"7","action":"index","underlying":"SOL","price":"1","time_ms":"1","sequence":"1"}"#,
      #""underlying": expected one of BTC, ETH, found "SOL""#),
    Fault(
      #"{"id":"x","account":"7","action":"list","instrument":"BTC-27MAR26","tick":"0.5","lot":"0.3","order_quantity_max":"100","price_max":"50000","maker_fee":"0","taker_fee":"0"}"#,
      #""list": expected terms that can be listed, found "steps""#),
    Fault(
      #"{"id":"x","account":"7","action":"surface","underlying":"BTC","expiry_ms":"1","forward":"1","a":"0","b":"0.1","rho":"1","m":"0","sigma":"0.2","time_ms":"1","sequence":"1"}"#,
      "surface parameters"),
  ]

  @Test(
    "a bad line is a failure with its number, name and text, and the next is read",
    arguments: faults)
  func refusals(fault: Fault) throws {
    let good = Self.limit("id", #""good""#)
    let results = try Self.read("\(good)\n\(fault.line)\n\n\(good)\n")
    try #require(results.count == 3)
    #expect(throws: Never.self) { try results[0].get() }
    #expect(throws: Never.self) { try results[2].get() }
    guard case .failure(let failure) = results[1] else {
      Issue.record("accepted \(fault.line)")
      return
    }
    #expect(failure.line == 2)
    #expect(failure.text == String(fault.line.prefix(200)))
    #expect(failure.description.hasPrefix("line 2: "))
    #expect(failure.description.contains(fault.message), "\(failure)")
    if fault.line.hasPrefix(#"{"id":"x""#), !fault.message.contains("twice") {
      #expect(failure.id == "x")
    }
  }

  @Test("an endless line is refused before it is parsed")
  func longLine() throws {
    let line = "{\"id\":\"" + String(repeating: "x", count: SubmissionReader.lineByteCountMax)
    guard case .failure(let failure) = try Self.read(line)[0] else {
      Issue.record("accepted a long line")
      return
    }
    #expect(failure.reason == .tooLong(maximum: SubmissionReader.lineByteCountMax))
    #expect(failure.text.utf8.count == 200)
  }

  @Test("CSV says what JSON Lines say")
  func csv() throws {
    let text = """
      id,account,action,instrument,side,price,quantity,tif,post_only,client_id,expires_ms\r
      a,7,limit,BTC-PERP,buy,"67867.5",0.25,gtc,true,1,99\r

      "b ""two"", x",8,cancel_all,,,,,,,,
      c,8,cancel_all,,,,,,,
      d,8,limit,BTC-PERP,buy,1,1,,yes,,
      e,8,cancel_all,,,1,,,,,
      f,8,cancel_all,"BTC-PERP,,,,,,,
      g,8,cancel_all,BTC"-PERP,,,,,,,
      """
    let results = try Self.read(text)
    try #require(results.count == 7)
    let first = try results[0].get()
    #expect(first.id == "a")
    guard case .action(let action, let account, let expires) = first.content else { return }
    #expect(account.raw == 7)
    #expect(expires?.raw == 99)
    #expect(
      action
        == .place(
          instrument: Self.perpetual, side: .buy, price: Price(raw: 6_786_750_000_000),
          quantity: Quantity(raw: 25_000_000), timeInForce: .gtc, postOnly: true,
          reduceOnly: false, clientID: 1))
    #expect(try results[1].get().id == "b \"two\", x")
    #expect(try results[1].get().line == 4)
    let failures = results.dropFirst(2).map { result -> String in
      guard case .failure(let failure) = result else { return "accepted" }
      return failure.description
    }
    #expect(
      failures == [
        "line 5: expected 11 cells, found 10",
        "line 6: \"post_only\": expected a boolean, found a string",
        "line 7: found unknown key \"price\"",
        "line 8: cell 4: found a stray or open quotation mark",
        "line 9: cell 4: found a stray or open quotation mark",
      ])
  }

  @Test(
    "a CSV header at fault is one failure and the end",
    arguments: [
      ("id,acount\na,7\n", "line 1: found unknown column \"acount\""),
      ("id,id\na,7\n", "line 1: found column \"id\" twice"),
      ("hello\n", "line 1: found unknown column \"hello\""),
    ])
  func header(text: String, message: String) throws {
    let results = try Self.read(text)
    try #require(results.count == 1)
    guard case .failure(let failure) = results[0] else { return }
    #expect(failure.description == message)
  }

  @Test("an empty file asks for nothing", arguments: ["", "\n", " \r\n\t\n"])
  func empty(text: String) throws { #expect(try Self.read(text).isEmpty) }

  // MARK: - Groups

  static func submission(_ id: String, account: UInt32, expires: Int64? = nil, list: Bool = false)
    throws -> Submission
  {
    var action = Action.cancelAll(instrument: .all)
    if list { action = .list(try seededGenesis().instruments[0]) }
    return Submission(
      line: 1, id: id,
      content: .action(
        action, account: AccountID(account), expires: expires.map { Timestamp(raw: $0) }))
  }

  static func groups(_ max: Int, _ submissions: [Submission]) -> [[String]] {
    var grouping = SubmissionGrouping(actionsMax: max)
    var groups: [SubmissionGroup] = []
    for submission in submissions { groups += grouping.add(submission) }
    if let last = grouping.finish() { groups.append(last) }
    if grouping.finish() != nil { Issue.record("a group was given twice") }
    return groups.map { $0.submissions.map(\.id) }
  }

  @Test("successive lines of one account go together, up to the number asked for")
  func grouping() throws {
    let lines = try [
      ("a", 7), ("b", 7), ("c", 7), ("d", 8), ("e", 7), ("f", 7),
    ].map { try Self.submission($0.0, account: $0.1) }
    #expect(Self.groups(1, lines) == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]])
    #expect(Self.groups(2, lines) == [["a", "b"], ["c"], ["d"], ["e", "f"]])
    #expect(Self.groups(256, lines) == [["a", "b", "c"], ["d"], ["e", "f"]])
    #expect(Self.groups(4, []) == [])
  }

  @Test("another expiry, a signed bundle and the record limit each end a group")
  func groupBreaks() throws {
    let key = KeyRole.account(AccountID(7)).key(seed: 7)
    let bundle = Bundle.signed(
      [.cancelAll(instrument: .all)], account: AccountID(7), nonce: 1,
      expiry: Timestamp(raw: 9), network: .zero, by: key)
    let lines = [
      try Self.submission("a", account: 7), try Self.submission("b", account: 7, expires: 5),
      try Self.submission("c", account: 7, expires: 5),
      Submission(line: 1, id: "s", content: .signed(bundle)),
      try Self.submission("d", account: 7, expires: 5),
    ]
    #expect(Self.groups(9, lines) == [["a"], ["b", "c"], ["s"], ["d"]])
    let listings = try (0..<172).map { try Self.submission("\($0)", account: 4, list: true) }
    #expect(Self.groups(256, listings).map(\.count) == [170, 2])
  }

  @Test("a group's bundle holds its actions, signed, and the line's own expiry")
  func bundles() throws {
    let network = try seededGenesis().networkID
    let key = KeyRole.account(AccountID(7)).key(seed: 7)
    for expires in [nil, Int64(5)] {
      var grouping = SubmissionGrouping(actionsMax: 2)
      _ = grouping.add(try Self.submission("a", account: 7, expires: expires))
      let groups = grouping.add(try Self.submission("b", account: 7, expires: expires))
      let group = try #require(groups.first)
      let bundle = group.bundle(nonce: 3, expiry: Timestamp(raw: 100), network: network, by: key)
      #expect(bundle.isSigned(network: network))
      #expect(bundle.header.actionCount == 2)
      #expect(bundle.header.nonce == 3)
      #expect(bundle.header.expiry.raw == expires ?? 100)
      #expect(group.account.raw == 7)
    }
  }
}
