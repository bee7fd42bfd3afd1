import Instruments
import Margin
import Primitives
import Wire

/// An account's protection in an underlying and what its window has seen: 128 bytes.
struct ProtectionRecord: FlatRecord {
  var account = AccountID(0)
  var underlying = UnderlyingID(0)
  /// 1 while in use.
  var isUsed: UInt16 = 0
  var window: Int64 = 0
  var frozen: Int64 = 0
  var fillsMax: Int64 = 0
  var quantityMax: Int64 = 0
  var deltaMax: Int64 = 0
  var vegaMax: Int64 = 0
  /// Batch time of the window's first fill; zero while it has none.
  var start: Timestamp = .zero
  var fills: Int64 = 0
  var quantity: Int64 = 0
  var delta: Int64 = 0
  var vega: Int64 = 0
  /// Quotes are taken again from then on; zero if they are not frozen.
  var frozenUntil: Timestamp = .zero
  var reserved: UInt64 = 0
  var reserved1: UInt64 = 0
  var reserved2: UInt64 = 0

  static let empty = ProtectionRecord()

  mutating func clear() {
    start = .zero
    (fills, quantity, delta, vega) = (0, 0, 0, 0)
  }

  var isTripped: Bool {
    func reaches(_ value: Int64, _ limit: Int64) -> Bool {
      limit > 0 && value.magnitude >= limit.magnitude
    }
    return reaches(fills, fillsMax) || reaches(quantity, quantityMax) || reaches(delta, deltaMax)
      || reaches(vega, vegaMax)
  }
}

extension ExecutionMachine {
  private static func protectionKey(_ account: AccountID, _ underlying: UnderlyingID) -> UInt64 {
    UInt64(account.raw) << 16 | UInt64(underlying.raw)
  }

  func protectionSlot(_ account: AccountID, _ underlying: UnderlyingID) -> Int? {
    protectionSlots[ExecutionMachine.protectionKey(account, underlying)]
  }

  /// Enters a protection into what is derived from it.
  mutating func link(_ record: ProtectionRecord, _ slot: Int) {
    protectionSlots[ExecutionMachine.protectionKey(record.account, record.underlying)] = slot
  }

  /// Sets, takes away or resets an account's protection in an underlying.
  @inline(never)
  mutating func protect(_ record: ActionRecord, account: AccountID) -> Outcome {
    guard record.id < genesis.underlyings.count else { return .rejected(.unknownInstrument) }
    let underlying = UnderlyingID(UInt16(truncatingIfNeeded: record.id))
    let known = protectionSlot(account, underlying)
    if record.a == 1 {
      guard let known else { return .rejected(.noProtection) }
      protections[known].clear()
      protections[known].frozenUntil = .zero
      return Outcome(.accepted)
    }
    guard record.x > 0 else {
      if let known {
        protectionSlots[ExecutionMachine.protectionKey(account, underlying)] = nil
        protections[known] = .empty
        freeProtections.free(known)
      }
      return Outcome(.accepted)
    }
    let slot = known ?? freeProtections.take()
    protections.reserve(through: slot)
    var new = protections[slot]
    (new.account, new.underlying, new.isUsed) = (account, underlying, 1)
    (new.window, new.frozen) = (record.x, record.y)
    new.fillsMax = Int64(bitPattern: record.z)
    new.quantityMax = Int64(bitPattern: record.tail.words.0)
    new.deltaMax = Int64(bitPattern: record.tail.words.1)
    new.vegaMax = Int64(bitPattern: record.tail.words.2)
    new.clear()
    protections[slot] = new
    link(new, slot)
    return Outcome(.accepted)
  }

  /// Counts a fill of a quote, and pulls the account's quotes in the underlying when a limit is
  /// reached.
  @inline(never)
  mutating func countQuoteFill(_ maker: OrderRecord, _ terms: Terms, size: Quantity) {
    guard let slot = protectionSlot(maker.account, terms.underlying) else { return }
    var record = protections[slot]
    if record.start.raw == 0 || time.raw - record.start.raw >= record.window {
      record.clear()
      record.start = time
    }
    let greeks = greeks[terms.id.index]
    let signed = Int128(maker.isBuy ? size.raw : -size.raw)
    record.fills += 1
    record.quantity = Int64(clamping: Int128(record.quantity) + Int128(size.raw))
    record.delta = Int64(
      clamping: Int128(record.delta)
        + (signed * Int128(greeks.delta.raw)).divided(by: Int128(Ratio.scale), rounding: .down))
    record.vega = Int64(
      clamping: Int128(record.vega)
        + (signed * Int128(greeks.vega.raw)).divided(by: Notional.perMoney, rounding: .down))
    let isTripped = record.isTripped
    if isTripped {
      record.clear()
      record.frozenUntil =
        record.frozen == 0 ? Timestamp(raw: .max) : Timestamp(raw: time.raw + record.frozen)
    }
    protections[slot] = record
    if isTripped { pullQuotes(of: maker.account, terms.underlying) }
  }

  /// What one contract moves by, at the marks in force.
  func greeks(of instrument: Instrument) -> (delta: Ratio, vega: Price) {
    table.greeks(instrument.id, index: indices[instrument.underlying.index].price)
  }

  /// Cancels an account's quotes in an underlying, oldest first.
  mutating func pullQuotes(of account: AccountID, _ underlying: UnderlyingID) {
    for slot in books.slots(of: account) {
      let order = orders[slot]
      if order.isQuote, instruments[order.instrument.index].underlying == underlying {
        removeOrder(slot)
      }
    }
  }
}
