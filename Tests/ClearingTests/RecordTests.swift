import Commitments
import Foundation
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

/// The records of clearing's state and an account's leaf: field by field as Docs/Protocol.md 9.1 and
/// 11.2 pack them, and on file.
@Suite("Clearing's records") struct RecordTests {
  static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Machines/clearing-records.txt")

  private struct Row {
    let name: String
    let bytes: [UInt8]
    let packed: [UInt8]

    init(_ name: String, bytes: [UInt8], _ pack: (inout ByteWriter) -> Void) {
      self.name = name
      self.bytes = bytes
      var out = ByteWriter()
      pack(&out)
      packed = out.bytes
    }

    init<Record: FlatRecord>(_ name: String, _ record: Record, _ pack: (inout ByteWriter) -> Void) {
      self.init(name, bytes: record.withBytes { $0.array }, pack)
    }
  }

  private static func digest(_ byte: UInt8) -> Digest {
    Digest([UInt8](repeating: byte, count: 32).rawSpan)
  }

  private static let account = AccountRecord(
    owner: digest(0x11), cash: Money(raw: -2), flags: 1, firstPosition: 3, firstBalance: 4,
    positionCount: 5, opened: 6, closing: 7, volume: Money(raw: 8), volumeDay: 9,
    debtIndexLow: 10, debtIndexHigh: 11, debtBooked: Money(raw: 1))

  private static var perpetual: PerpetualRecord {
    var record = PerpetualRecord(
      instrument: InstrumentID(1), impact: Price(raw: 2), impactTime: Timestamp(raw: 3),
      minute: 4, present: 5, rate: Ratio(raw: 9), indexLow: 10, indexHigh: -11, remainder: 12)
    record.premiums[0] = Ratio(raw: 6)
    record.premiums[58] = Ratio(raw: 7)
    record.premiums[59] = Ratio(raw: -8)
    return record
  }

  private static var minute: MinuteRecord {
    var record = MinuteRecord(gathering: 1, sampled: 2, doubt: Ratio(raw: 3), doubtful: 4)
    record.samples[0] = Price(raw: 5)
    record.samples[29] = Price(raw: 6)
    record.prices[0] = Price(raw: 7)
    record.prices[15] = Price(raw: 8)
    record.times[0] = Timestamp(raw: 9)
    record.times[15] = Timestamp(raw: 10)
    return record
  }

  private static var rows: [Row] {
    let terms = TestWorld.instruments()[2]
    return [
      Row("account", account) {
        $0.write(digest(0x11))
        $0.write(Int64(-2))
        for word in [1, 3, 4, 5] as [UInt32] { $0.write(word) }
        for word in [6, 7, 8, 9, 10, 11, 1] as [UInt64] { $0.write(word) }
      },
      Row(
        "position",
        PositionRecord(
          account: AccountID(1), instrument: InstrumentID(2), quantity: Quantity(raw: -3),
          cost: Money(raw: 4), next: 5, isUsed: 1, fundingIndexLow: 6, fundingIndexHigh: -7,
          fundingBooked: Money(raw: 8))
      ) {
        for word in [1, 2] as [UInt32] { $0.write(word) }
        for word in [-3, 4] as [Int64] { $0.write(word) }
        for word in [5, 1] as [UInt32] { $0.write(word) }
        for word in [6, -7, 8] as [Int64] { $0.write(word) }
      },
      Row(
        "balance",
        BalanceRecord(account: AccountID(1), asset: AssetID(2), amount: Amount(raw: 3), next: 4)
      ) {
        $0.write(UInt32(1))
        $0.write(UInt16(2))
        $0.pad(2)
        $0.write(Int64(3))
        $0.write(UInt32(4))
        $0.pad(4)
      },
      Row(
        "fund",
        FundRecord(
          insurance: 1, fees: 2, rounding: -3, deposits: 4, withdrawals: 5, lastReference: 6,
          funding: -7, outflow: 8, outflowRemainder: 9, outflowTime: Timestamp(raw: 10),
          interestLow: 11, interestHigh: 12, interestRemainder: 13)
      ) {
        for word in [1, 2, -3, 4, 5, 6, -7, 8, 9, 10, 11, 12, 13] as [Int64] { $0.write(word) }
      },
      Row(
        "submission",
        SubmissionRecord(
          publisher: 1, underlying: UnderlyingID(2), kind: SubmissionRecord.surface,
          expiry: Timestamp(raw: 4), sequence: 5, time: Timestamp(raw: 6), price: Price(raw: 7),
          parameters: SurfaceParameters(a: 8, b: 9, rho: -10, m: 11, sigma: 12))
      ) {
        $0.write(UInt32(1))
        for word in [2, 2] as [UInt16] { $0.write(word) }
        for word in [4, 5, 6, 7, 8, 9, -10, 11, 12] as [Int64] { $0.write(word) }
      },
      Row(
        "withdrawal",
        WithdrawalRecord(
          account: AccountID(1), asset: AssetID(2), state: WithdrawalRecord.released,
          amount: Amount(raw: 3), batch: 4, destination: digest(0x55), reference: digest(0x66))
      ) {
        $0.write(UInt32(1))
        for word in [2, 2] as [UInt16] { $0.write(word) }
        $0.write(Int64(3))
        $0.write(UInt64(4))
        $0.write(digest(0x55))
        $0.write(digest(0x66))
      },
      Row(
        "proposal",
        ProposalRecord(
          action: digest(0x22), kind: 12, opener: 2, approvals: 3, effective: 4, subject: 5,
          isDone: 1, halted: 1, opened: Timestamp(raw: 6), terms: terms)
      ) {
        $0.write(digest(0x22))
        for word in [12, 2] as [UInt16] { $0.write(word) }
        $0.write(UInt32(3))
        $0.write(UInt64(4))
        $0.write(UInt32(5))
        for word in [1, 1] as [UInt16] { $0.write(word) }
        $0.write(UInt64(6))
        $0.write(record: terms)
      },
      Row(
        "status",
        StatusRecord(
          batch: 1, time: Timestamp(raw: 2), term: 1, isLocked: 6, trades: 3, settlingFrom: 4,
          watchFrom: 5, auctions: 7, margin: 8, repayFrom: 9, repayLeft: 10)
      ) {
        for word in [1, 2] as [UInt64] { $0.write(word) }
        for word in [1, 6] as [UInt32] { $0.write(word) }
        $0.write(UInt64(3))
        for word in [4, 5] as [UInt32] { $0.write(word) }
        for word in [7, 8] as [UInt64] { $0.write(word) }
        for word in [9, 10] as [UInt32] { $0.write(word) }
      },
      Row(
        "auction",
        AuctionRecord(
          account: AccountID(1), phase: AuctionRecord.insolvent, number: 3, batch: 4,
          started: Timestamp(raw: 5), phaseStarted: Timestamp(raw: 6), reserved: Money(raw: 7),
          notional: Money(raw: 8), paid: Money(raw: 9))
      ) {
        for word in [1, 2] as [UInt32] { $0.write(word) }
        for word in [3, 4, 5, 6, 7, 8, 9] as [Int64] { $0.write(word) }
      },
      Row(
        "lock",
        LockRecord(account: AccountID(1), amount: Money(raw: 2), until: Timestamp(raw: 3))
      ) {
        for word in [1, 0] as [UInt32] { $0.write(word) }
        for word in [2, 3] as [Int64] { $0.write(word) }
      },
      Row(
        "payout",
        PayoutRecord(start: Timestamp(raw: 1), paid: Money(raw: 2), tranche: Money(raw: 3))
      ) {
        for word in [1, 2, 3] as [Int64] { $0.write(word) }
      },
      Row(
        "epoch",
        EpochRecord(
          number: 1, batch: 2, account: AccountID(3), shares: 4, loss: Money(raw: 7),
          recovered: Money(raw: 6), repaid: Money(raw: 5))
      ) {
        for word in [1, 2] as [UInt64] { $0.write(word) }
        for word in [3, 4] as [UInt32] { $0.write(word) }
        for word in [7, 6, 5] as [Int64] { $0.write(word) }
      },
      Row(
        "share",
        ShareRecord(
          epoch: 1, account: AccountID(2), loss: Money(raw: 4), repaid: Money(raw: 3))
      ) {
        for word in [1, 2] as [UInt32] { $0.write(word) }
        for word in [4, 3] as [Int64] { $0.write(word) }
      },
      Row("perpetual", perpetual) {
        for word in [1, 0] as [UInt32] { $0.write(word) }
        for word in [2, 3, 4, 5, 6] as [Int64] { $0.write(word) }
        $0.pad(57 * 8)
        for word in [7, -8, 9, 10, -11, 12] as [Int64] { $0.write(word) }
      },
      Row("minute", minute) {
        for word in [1, 2, 3, 4, 5] as [Int64] { $0.write(word) }
        $0.pad(28 * 8)
        for word in [6, 7] as [Int64] { $0.write(word) }
        $0.pad(14 * 8)
        for word in [8, 9] as [Int64] { $0.write(word) }
        $0.pad(14 * 8)
        $0.write(Int64(10))
      },
      leaf,
    ]
  }

  /// The leaf of account 9 with two digests, hashed here by hand.
  private static var leaf: Row {
    let (balances, positions) = (digest(0x33), digest(0x44))
    let fields = AccountTree.fields(
      AccountID(9), account, balances: balances, positions: positions)
    func chunk(_ words: UInt64...) -> Digest {
      var out = ByteWriter()
      for word in words { out.write(word) }
      out.pad(32 - out.bytes.count)
      return Digest(out.bytes.rawSpan)
    }
    let minusTwo = UInt64(bitPattern: -2)
    let left = SHA256.pair(
      SHA256.pair(chunk(minusTwo, 10, 11, 1), balances), SHA256.pair(positions, chunk(1, 7, 8, 9)))
    let right = SHA256.pair(
      SHA256.pair(chunk(9), account.owner), SHA256.pair(chunk(6), .zero))
    return Row("account-leaf", bytes: Merkle.root(of: fields, width: 8).withBytes { $0.array }) {
      $0.write(SHA256.pair(left, right))
    }
  }

  @Test("each record's memory is what the page packs, and what is on file")
  func golden() throws {
    for row in Self.rows { #expect(row.bytes == row.packed, "\(row.name)") }
    let text =
      "# Clearing's records and an account's leaf: name and bytes\n"
      + Self.rows.map { "\($0.name) \(Hexadecimal.text($0.bytes.rawSpan))\n" }.joined()
    if ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1" {
      try text.write(to: Self.file, atomically: true, encoding: .utf8)
    }
    let stored = try String(contentsOf: Self.file, encoding: .utf8)
    #expect(text == stored)
  }
}
