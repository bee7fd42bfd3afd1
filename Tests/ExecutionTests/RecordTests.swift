import Foundation
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

/// The records of execution's state: field by field as Docs/Protocol.md 8.1 packs them, and on file.
@Suite("Execution's records") struct RecordTests {
  static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Machines/execution-records.txt")

  private struct Row {
    let name: String
    let bytes: [UInt8]
    let packed: [UInt8]

    init<Record: FlatRecord>(_ name: String, _ record: Record, _ pack: (inout ByteWriter) -> Void) {
      self.name = name
      bytes = record.withBytes { $0.array }
      var out = ByteWriter()
      pack(&out)
      packed = out.bytes
    }
  }

  private static func digest(_ byte: UInt8) -> Digest {
    Digest([UInt8](repeating: byte, count: 32).rawSpan)
  }

  private static var rows: [Row] {
    [
      Row(
        "key",
        KeyRecord(
          key: digest(0x11), account: AccountID(2), next: 3, markets: InstrumentID(4), flags: 1,
          validFrom: 5, validUntil: 6, expiry: Timestamp(raw: 7), nonceTop: 8, nonceBits: 9,
          rateSecond: 10, rateCount: 11)
      ) {
        $0.write(digest(0x11))
        for word in [2, 3, 4, 1] as [UInt32] { $0.write(word) }
        for word in [5, 6, 7, 8, 9] as [UInt64] { $0.write(word) }
        for word in [10, 11] as [UInt32] { $0.write(word) }
      },
      Row(
        "credit",
        CreditRecord(
          cash: Money(raw: -1), outflow: Money(raw: 2), flags: 1, firstKey: 4, firstHolding: 5,
          firstBalance: 6, openOrders: 7, keyCount: 8, holdingCount: 9, spent: 10)
      ) {
        for word in [-1, 2] as [Int64] { $0.write(word) }
        for word in [1, 4, 5, 6, 7] as [UInt32] { $0.write(word) }
        for word in [8, 9] as [UInt16] { $0.write(word) }
        $0.write(Int64(10))
      },
      Row(
        "holding",
        HoldingRecord(
          account: AccountID(1), instrument: InstrumentID(2), granted: Quantity(raw: -3),
          cost: Money(raw: 4), since: Quantity(raw: 5), next: 6, openOrders: 7, sinceFills: 8,
          isUsed: 1)
      ) {
        for word in [1, 2] as [UInt32] { $0.write(word) }
        for word in [-3, 4, 5] as [Int64] { $0.write(word) }
        for word in [6, 7, 8, 1] as [UInt32] { $0.write(word) }
      },
      Row(
        "balance",
        BalanceRecord(
          account: AccountID(1), asset: AssetID(2), granted: Amount(raw: 3),
          outflow: Amount(raw: 4), next: 5)
      ) {
        $0.write(UInt32(1))
        $0.write(UInt16(2))
        $0.pad(2)
        for word in [3, 4] as [Int64] { $0.write(word) }
        $0.write(UInt32(5))
        $0.pad(4)
      },
      Row(
        "since-fill",
        SinceRecord(
          batch: 1, account: AccountID(2), subject: 3, quantity: -4, price: Price(raw: 5),
          fee: Money(raw: 6), kind: SinceRecord.fill)
      ) {
        $0.write(UInt64(1))
        for word in [2, 3] as [UInt32] { $0.write(word) }
        for word in [-4, 5, 6] as [Int64] { $0.write(word) }
        $0.write(UInt32(1))
        $0.pad(4)
      },
      Row(
        "order",
        OrderRecord(
          id: OrderID(1), clientID: 2, price: Price(raw: 3), remaining: Quantity(raw: 4),
          account: AccountID(5), instrument: InstrumentID(6), side: 1, flags: 3,
          fingerprint: 7)
      ) {
        for word in [1, 2, 3, 4] as [UInt64] { $0.write(word) }
        for word in [5, 6] as [UInt32] { $0.write(word) }
        $0.write([1, 3])
        $0.pad(2)
        $0.write(UInt32(7))
      },
      Row(
        "extra",
        OrderExtra(
          order: OrderID(1), expiry: Timestamp(raw: 2), display: Quantity(raw: 3),
          hidden: Quantity(raw: 4), priority: 5)
      ) {
        for word in [1, 2, 3, 4, 5] as [UInt64] { $0.write(word) }
        $0.pad(8)
      },
      Row("timer", TimerRecord(deadline: Timestamp(raw: 1), account: AccountID(2))) {
        $0.write(Int64(1))
        $0.write(UInt32(2))
        $0.pad(4)
      },
      Row(
        "protection",
        ProtectionRecord(
          account: AccountID(1), underlying: UnderlyingID(2), isUsed: 1, window: 3, frozen: 4,
          fillsMax: 5, quantityMax: 6, deltaMax: 7, vegaMax: 8, start: Timestamp(raw: 9), fills: 10,
          quantity: 11, delta: -12, vega: 13, frozenUntil: Timestamp(raw: 14))
      ) {
        $0.write(UInt32(1))
        for word in [2, 1] as [UInt16] { $0.write(word) }
        for word in [3, 4, 5, 6, 7, 8, 9, 10, 11, -12, 13, 14] as [Int64] { $0.write(word) }
        $0.pad(24)
      },
      Row(
        "trigger",
        TriggerRecord(
          id: OrderID(1), account: AccountID(2), reached: 3,
          order: ActionRecord(
            kindCode: 19, a: 1, b: 2, c: 3, id: 4, x: 5, y: 6, z: 7, tail: digest(0x22)))
      ) {
        $0.write(UInt64(1))
        $0.write(UInt32(2))
        $0.pad(4)
        $0.write(UInt64(3))
        $0.pad(8)
        $0.write([19, 1, 2, 3])
        $0.write(UInt32(4))
        for word in [5, 6] as [Int64] { $0.write(word) }
        $0.write(UInt64(7))
        $0.write(digest(0x22))
      },
      Row("call", CallRecord(end: Timestamp(raw: 1), gathers: 1)) {
        $0.write(Int64(1))
        $0.write(UInt32(1))
        $0.pad(4)
      },
      Row(
        "status",
        StatusRecord(
          batch: 1, time: Timestamp(raw: 2), nextOrder: 3, nextTrade: 4, creditBatch: 5,
          oracleTime: Timestamp(raw: 6), creditID: digest(0x77), term: 1, sinceCount: 9)
      ) {
        for word in [1, 2, 3, 4, 5, 6] as [UInt64] { $0.write(word) }
        $0.write(digest(0x77))
        for word in [1, 9] as [UInt32] { $0.write(word) }
        $0.pad(40)
      },
    ]
  }

  @Test("each record's memory is what the page packs, and what is on file")
  func golden() throws {
    for row in Self.rows { #expect(row.bytes == row.packed, "\(row.name)") }
    let text =
      "# Execution's records: name and bytes\n"
      + Self.rows.map { "\($0.name) \(Hexadecimal.text($0.bytes.rawSpan))\n" }.joined()
    if ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1" {
      try text.write(to: Self.file, atomically: true, encoding: .utf8)
    }
    let stored = try String(contentsOf: Self.file, encoding: .utf8)
    #expect(text == stored)
  }
}
