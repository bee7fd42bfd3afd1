public import Instruments
public import Primitives

/// An action as people write it.
public enum Action: Sendable, Equatable {
  case order(OrderTerms)
  case replace(OrderReplacement)
  case trigger(TriggerTerms)
  case volatility(VolatilityOrder)
  /// Cancels every order of the account so many milliseconds of batch time from now, unless it is
  /// said again before; zero takes the timer away.
  case timer(milliseconds: Int64)
  case protect(QuoteProtection)
  /// Lets the quotes of an underlying in again, and begins its window anew.
  case resetProtection(UnderlyingID)
  case massQuote(MassQuote)
  case cancel(instrument: InstrumentID, order: OrderID)
  /// By the client id the order was placed with.
  case cancelClient(instrument: InstrumentID, clientID: UInt64)
  /// Those of a scope, on one side or both.
  case cancelOrders(CancelScope, side: Side?)
  case addKey(key: PublicKey, markets: InstrumentID, expiry: Timestamp)
  case revokeKey(key: PublicKey)
  case withdraw(asset: AssetID, amount: Amount, destination: Bytes32)
  /// `reference` is the custodian's own number of the payment, strictly rising per asset, so that
  /// none is credited twice.
  case deposit(asset: AssetID, amount: Amount, owner: PublicKey, reference: UInt64)
  /// Another account of the same owner, in a mode that it keeps.
  case open(AccountMode)
  /// To another account of the same owner.
  case transfer(asset: AssetID, amount: Amount, to: AccountID)
  case release(withdrawal: UInt64, reference: Bytes32)
  case index(underlying: UnderlyingID, price: Price, time: Timestamp, sequence: UInt64)
  /// Of a perpetual: the index held between the book's impact bid and impact ask; the index itself
  /// where either side is too thin.
  case impact(instrument: InstrumentID, price: Price, time: Timestamp, sequence: UInt64)
  case surface(
    underlying: UnderlyingID, expiry: Timestamp, forward: Price, parameters: SurfaceParameters,
    time: Timestamp, sequence: UInt64)
  case block(BlockTrade)
  case list(Instrument)
  case halt(instrument: InstrumentID, halted: Bool)
  case bid(AuctionOffer)
  /// Other terms of the margin method, for all accounts.
  case margin(MarginTerms)
  case combination(Combination)
  /// Lets execution cancel all orders of a scope, once, when it loses the connection this was sent on.
  case openSession(CancelScope)
  case endSession(number: UInt64)
  /// Execution's own: a session's connection is lost.
  case disconnect(session: UInt64)
}

extension Action {
  /// Refuses an action that no bundle may hold, before it is signed.
  /// - Throws: the field outside its domain, with its offset in the action's records.
  public func validate() throws(DecodingFailure) {
    if case .massQuote(let quote) = self, quote.entries.count > Limits.quoteEntriesMax {
      throw .invalid(field: "number of quotes", offset: 0)
    }
    if case .combination(let combination) = self,
      !Limits.combinationLegs.contains(combination.legs.count)
    {
      throw .invalid(field: "number of legs", offset: 0)
    }
    var records = ByteWriter(capacity: 4 * ActionRecord.byteCount)
    write(to: &records)
    let count = records.bytes.count / ActionRecord.byteCount
    try Action.check(records.bytes.rawSpan, at: 0, records: count, actions: 1)
  }

  /// Appends the action's records.
  public func write(to out: inout ByteWriter) {
    switch self {
    case .order(let terms):
      out.write(record: terms.record)
    case .replace(let replacement):
      out.write(record: replacement.record)
    case .trigger(let terms):
      out.write(record: terms.record)
    case .volatility(let order):
      out.write(record: order.record)
    case .timer(let milliseconds):
      out.write(record: ActionRecord(kindCode: ActionKind.timer.rawValue, x: milliseconds))
    case .protect(let protection):
      out.write(record: protection.record)
    case .resetProtection(let underlying):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.protect.rawValue, a: 1, id: UInt32(underlying.raw)))
    case .massQuote(let quote):
      quote.write(to: &out)
    case .cancel(let instrument, let order):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.cancel.rawValue, id: instrument.raw, z: order.raw))
    case .cancelClient(let instrument, let clientID):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.cancel.rawValue, a: 1, id: instrument.raw, z: clientID))
    case .cancelOrders(let scope, let side):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.cancelAll.rawValue, a: side.map { $0.rawValue + 1 } ?? 0,
          b: scope.code.by, id: scope.code.id))
    case .addKey(let key, let markets, let expiry):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.addKey.rawValue, id: markets.raw, x: expiry.raw, tail: key))
    case .revokeKey(let key):
      out.write(record: ActionRecord(kindCode: ActionKind.revokeKey.rawValue, tail: key))
    case .withdraw(let asset, let amount, let destination):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.withdraw.rawValue, id: UInt32(asset.raw), x: amount.raw,
          tail: destination))
    case .deposit(let asset, let amount, let owner, let reference):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.deposit.rawValue, id: UInt32(asset.raw), x: amount.raw,
          z: reference, tail: owner))
    case .open(let mode):
      out.write(record: ActionRecord(kindCode: ActionKind.open.rawValue, a: mode.rawValue))
    case .transfer(let asset, let amount, let account):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.transfer.rawValue, id: UInt32(asset.raw), x: amount.raw,
          z: UInt64(account.raw)))
    case .release(let withdrawal, let reference):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.release.rawValue, z: withdrawal, tail: reference))
    case .index(let underlying, let price, let time, let sequence):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.index.rawValue, id: UInt32(underlying.raw), x: price.raw,
          y: time.raw, z: sequence))
    case .impact(let instrument, let price, let time, let sequence):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.index.rawValue, a: 1, id: instrument.raw, x: price.raw,
          y: time.raw, z: sequence))
    case .surface(let underlying, let expiry, let forward, let parameters, let time, let sequence):
      SurfaceUpdate(
        underlying: underlying, expiry: expiry, forward: forward, parameters: parameters,
        time: time, sequence: sequence
      ).write(to: &out)
    case .block(let trade):
      trade.write(to: &out)
    case .list(let instrument):
      out.write(record: ActionRecord(kindCode: ActionKind.list.rawValue))
      out.write(record: instrument)
    case .halt(let instrument, let halted):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.halt.rawValue, a: halted ? 1 : 0, id: instrument.raw))
    case .bid(let offer):
      out.write(record: offer.record)
    case .margin(let terms):
      out.write(record: ActionRecord(kindCode: ActionKind.margin.rawValue))
      out.write(record: terms)
    case .combination(let combination):
      combination.write(to: &out)
    case .openSession(let scope):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.session.rawValue, b: scope.code.by, id: scope.code.id))
    case .endSession(let number):
      out.write(record: ActionRecord(kindCode: ActionKind.session.rawValue, a: 1, z: number))
    case .disconnect(let number):
      out.write(record: ActionRecord(kindCode: ActionKind.disconnect.rawValue, z: number))
    }
  }
}
