import Client
import Commitments
import Instruments
import Primitives
import Testing
import Wire

@Suite("Outcomes in words") struct SubmissionOutcomeTests {
  @Test("an outcome is one line of JSON with its six keys")
  func json() throws {
    let outcome = SubmissionOutcome(
      id: "a\n1", status: .filled, batch: BatchNumber(41), index: 3, code: 0, message: "x \"y\"")
    #expect(
      outcome.json
        == #"{"id":"a\n1","status":"filled","batch":41,"index":3,"code":0,"message":"x \"y\""}"#)
    #expect(
      SubmissionOutcome(id: "b", .nonceUsed).json
        == #"{"id":"b","status":"refused","batch":null,"index":null,"code":106,"message":"expected an unused nonce, found it used"}"#
    )
    #expect(!outcome.isFailure)
    #expect(SubmissionOutcome(id: "b", .nonceUsed).isFailure)
  }

  @Test("a line that could not be sent is refused under its name, or its number")
  func failures() throws {
    var reader = SubmissionReader(
      Array("{\"id\":\"x\"}\n{\n".utf8), genesis: try seededGenesis())
    var lines: [SubmissionOutcome] = []
    while let result = reader.next() {
      if case .failure(let failure) = result { lines.append(SubmissionOutcome(failure)) }
    }
    #expect(lines.map(\.id) == ["x", "line-2"])
    #expect(lines.allSatisfy { $0.status == .refused && $0.code == 100 && $0.batch == nil })
    #expect(lines[0].message == "line 1: expected key \"action\", found none")
  }

  struct Row: Sendable {
    let code: OutcomeCode, figure1: Int64, figure2: Int64, message: String
    init(_ code: OutcomeCode, _ figure1: Int64, _ figure2: Int64, _ message: String) {
      self.code = code
      self.figure1 = figure1
      self.figure2 = figure2
      self.message = message
    }
  }

  static let rows = [
    Row(
      .priceOffTick, 10_005_000_000, 10_000_000,
      "expected a price in steps of 0.1, found 100.05"),
    Row(.quantityOffLot, 150_000, 100_000, "expected a quantity in steps of 0.001, found 0.0015"),
    Row(.quantityTooLarge, 200_000_000, 100_000_000, "expected a quantity of at most 1, found 2"),
    Row(.priceTooHigh, 200_000_000, 100_000_000, "expected a price of at most 1, found 2"),
    Row(
      .wouldCross, 200_000_000, 100_000_000,
      "expected a price short of the best opposite price 1, found 2"),
    Row(.notFillable, 500_000_000, 300_000_000, "expected to fill 5 at once, found 3"),
    Row(
      .insufficientMargin, -12_500_000, 25_000_000,
      "expected money left under the worst scenario, found -12.5 (25 before)"),
    Row(.tooManyOrders, 1_024, 1_024, "expected fewer than 1024 open orders, found 1024"),
    Row(
      .notReducing, 200_000_000, 300_000_000,
      "expected at most 2, which reduces the position, found 3"),
    Row(
      .marketDataStale, 70_000, 60_000,
      "expected market data of at most 60000 ms, found it 70000 ms old"),
    Row(
      .insufficientBalance, 3_000_000, 1_500_000, "expected an amount of at most 1.5, found 3"),
    Row(
      .quotesFrozen, 5_000, 4_000,
      "expected batch time 5000, when quotes are taken again, found 4000"),
    Row(
      .quotesFrozen, .max, 4_000,
      "expected quotes that are not frozen, found them frozen until they are reset"),
  ]

  @Test("a rejection says what was expected and what was found", arguments: rows)
  func messages(row: Row) {
    #expect(row.code.message(row.figure1, row.figure2) == row.message)
  }

  @Test("every code has words of its own")
  func everyCode() {
    let codes = OutcomeCode.allCases.map { $0.message(1, 2) }
    #expect(Set(codes).count == codes.count)
    let refusals = Refusal.allCases.map { $0.message() }
    #expect(Set(refusals).count == refusals.count)
    for refusal in Refusal.allCases {
      #expect(refusal.message().hasSuffix("try again") == refusal.isRetryable)
    }
  }

  @Test("what was done is said in units")
  func done() throws {
    let genesis = try seededGenesis()
    func message(_ action: Action, _ outcome: Outcome) throws -> String {
      var out = ByteWriter()
      action.write(to: &out)
      return SubmissionOutcome(
        id: "x", outcome, of: ActionRecord(out.bytes.rawSpan), batch: BatchNumber(0), index: 0,
        assets: genesis.assets
      ).message
    }
    let place = Action.place(
      instrument: InstrumentID(0), side: .buy, price: Price(raw: 1), quantity: Quantity(raw: 1),
      timeInForce: .gtc, postOnly: false, reduceOnly: false, clientID: 0)
    let one = Quantity.scale
    func outcome(_ filled: Int64, _ left: Int64) -> Outcome {
      Outcome(filled > 0 ? .filled : .accepted, .done, filled, left, order: OrderID(17))
    }
    #expect(try message(place, outcome(one, 0)) == "order 17 filled 1")
    #expect(try message(place, outcome(one, one / 2)) == "order 17 filled 1, 0.5 rests")
    #expect(try message(place, outcome(0, one)) == "order 17 rests with 1")
    #expect(try message(place, outcome(0, 0)) == "order 17 found nothing to fill")
    #expect(
      try message(.cancel(instrument: InstrumentID(0), order: OrderID(17)), outcome(0, one))
        == "order 17 cancelled with 1 left")
    #expect(try message(.cancelAll(instrument: .all), outcome(3, 0)) == "3 orders cancelled")
    let quote = Action.massQuote(
      MassQuote(underlying: UnderlyingID(0), entries: [], pullsOthers: true))
    #expect(try message(quote, outcome(2, 0)) == "2 quotes stand or traded")
    #expect(
      try message(quote, Outcome(.accepted, .priceOffTick, 2, 1))
        == "2 quotes stand or traded, 1 refused: price off tick")
    let trigger = Action.trigger(
      TriggerTerms(
        order: OrderTerms(
          instrument: InstrumentID(0), side: .buy, price: Price(raw: one),
          quantity: Quantity(raw: one)), direction: .falls, price: Price(raw: one)))
    #expect(
      try message(trigger, outcome(0, one)) == "order 17 waits for its trigger with 1")
    let volatility = Action.volatility(
      VolatilityOrder(
        OrderTerms(
          instrument: InstrumentID(0), side: .buy, price: .zero, quantity: Quantity(raw: 3 * one)),
        volatility: Ratio(raw: 1)))
    #expect(try message(volatility, outcome(0, 7 * one)) == "order 17 at 7")
    #expect(try message(volatility, outcome(2 * one, 7 * one)) == "order 17 at 7 filled 2")
    #expect(
      try message(volatility, Outcome(.accepted, .selfTrade, 0, 7 * one, order: OrderID(17)))
        == "order 17 at 7; the rest met the account's own order")
    #expect(
      try message(volatility, Outcome(.filled, .batchFull, one, 7 * one, order: OrderID(17)))
        == "order 17 at 7 filled 1; the batch had no room for the rest")
    #expect(
      try message(volatility, .rejected(.batchFull))
        == "expected room in the batch, found none; send it again")
    #expect(
      try message(volatility, .rejected(.volatilityTooLow, one / 4, one))
        == "expected a volatility whose price is at least 1, found 0.25")
    let combination = Action.combination(
      Combination(
        legs: [0, 1].map {
          CombinationLeg(
            instrument: InstrumentID($0), side: .buy, quantity: Quantity(raw: one))
        }, netLimit: .zero))
    #expect(
      try message(combination, Outcome(.filled, .done, -2_500_000, 0, order: OrderID(17)))
        == "combination 17 filled, every leg whole; it brought 2.5")
    #expect(
      try message(combination, .rejected(.netPrice, 3_000_000, 2_000_000))
        == "expected all legs for at most 2 together, found 3")
    #expect(
      try message(trigger, .rejected(.triggerReached, one, one / 2))
        == "expected a trigger not yet reached, found 0.5 at or past 1")
    #expect(
      try message(place, .rejected(.gathering, 9_000, 8_000))
        == "expected an order that rests until the auction at 9000, found one that does not")
    #expect(
      try message(.timer(milliseconds: 5_000), outcome(9_000, 0))
        == "orders are cancelled at batch time 9000")
    #expect(try message(.timer(milliseconds: 0), outcome(0, 0)) == "timer taken away")
    // In the asset's own scale.
    #expect(
      try message(
        .withdraw(asset: AssetID(1), amount: Amount(raw: 3), destination: .zero),
        .rejected(.insufficientBalance, 300_000_000, 1))
        == "expected an amount of at most 0.00000001, found 3")
  }

  @Test("a group's outcomes bear its lines' names in order, whatever records the actions take")
  func groups() throws {
    let genesis = try seededGenesis()
    let key = KeyRole.governance(1).key(seed: 7)
    let actions: [Action] = [
      .cancelAll(instrument: .all), .list(genesis.instruments[0]), .cancelAll(instrument: .all),
    ]
    var grouping = SubmissionGrouping(actionsMax: 3)
    var groups: [SubmissionGroup] = []
    for (index, action) in actions.enumerated() {
      groups += grouping.add(
        Submission(
          line: index + 1, id: "l\(index)",
          content: .action(action, account: AccountID(4), expires: nil)))
    }
    let group = try #require(groups.first)
    let bundle = group.bundle(
      nonce: 1, expiry: Timestamp(raw: 9), network: genesis.networkID, by: key)
    let acknowledgement = Acknowledgement(
      account: AccountID(4), key: key.publicKey, nonce: 1,
      bundle: bundle.id(network: genesis.networkID), batch: BatchNumber(12), index: 5,
      outcomes: [
        Outcome(.accepted, .done, 1), Outcome(.accepted), .rejected(.unknownInstrument),
      ])
    let outcomes = SubmissionOutcome.outcomes(
      of: group, bundle, acknowledgement, assets: genesis.assets)
    #expect(outcomes.map(\.id) == ["l0", "l1", "l2"])
    #expect(outcomes.map(\.status) == [.accepted, .accepted, .rejected])
    #expect(
      outcomes.map(\.message) == [
        "1 order cancelled", "approval sent to clearing",
        "expected a listed instrument, found none",
      ])
    #expect(outcomes.allSatisfy { $0.batch?.raw == 12 && $0.index == 5 })
    let refused = SubmissionOutcome.outcomes(of: group, refused: .clearingBehind)
    #expect(refused.map(\.id) == ["l0", "l1", "l2"])
    // A bundle signed elsewhere gives its one name to all.
    var single = SubmissionGrouping()
    let elsewhere = try #require(
      single.add(Submission(line: 1, id: "s", content: .signed(bundle))).first)
    #expect(
      SubmissionOutcome.outcomes(of: elsewhere, bundle, acknowledgement, assets: genesis.assets)
        .map(\.id) == ["s", "s", "s"])
  }
}
