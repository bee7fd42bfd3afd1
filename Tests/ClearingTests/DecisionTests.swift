import Commitments
import Instruments
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

@testable import Clearing

/// A directed close of a day, and what proves it.
private struct DirectedClose {
  let genesis: Genesis
  var trade: TradeProof
  var decision: DecisionProof
  var batch: ExecutionHeader
  var clearance: ClearingHeader
  let log: LogProof

  /// The file, both headers signed by their layers.
  func file(without: Bool = false) -> [UInt8] {
    BundleFileBuilder.trade(
      genesis: genesis, proof: trade, decision: without ? nil : decision,
      batch: SignedBatch(
        header: batch, signature: TestWorld.key(1).sign(batch.id), body: []),
      clearance: SignedClearance(
        header: clearance, signature: TestWorld.key(2).sign(clearance.id), body: []),
      log: log, checkpoint: nil)
  }

  func verdict(without: Bool = false) -> Verdict { judge(file(without: without)) }

  func judge(_ file: [UInt8]) -> Verdict {
    FileVerifier(pin: .hash(genesis.networkID), level: .inclusion).verify(file)
  }

  /// Clearing signs another deciding header, and all that follows from it is made anew: what a
  /// clearing layer and an execution layer of one mind could show.
  mutating func forge(_ change: (inout ClearingHeader, inout DecisionProof) -> Void) throws {
    try #require(decision.clearings.count == 1)
    var header = decision.clearings[0]
    change(&header, &decision)
    header.receiptsRoot = decision.receipt.withBytes { MerkleLog.leafHash($0) }
    header.receiptCount = 1
    header.postRoot = try #require(decision.witness.stateRoot)
    decision.receiptIndex = 0
    decision.receiptPath = []
    decision.clearings = [header]
    batch.creditID = header.id
    clearance.execution = batch.id
  }
}

extension MarginWitness {
  /// The account's leaf says other things, and the roots above it follow.
  fileprivate mutating func change(_ change: (inout [Digest]) -> Void) {
    change(&account.fields)
    account.roots[0] = account.path.root(
      leaf: Merkle.root(of: account.fields, width: 8), index: account.account.raw)
  }
}

@Suite("A directed close is decided again from its proof alone") struct DecisionTests {
  /// The last by `span-16`.
  private static let days: [(seed: UInt64, auctions: Bool)] = [
    (401, false), (404, false), (742, true), (406, false),
  ]

  private static func closes(_ seed: UInt64, auctions: Bool) throws -> [DirectedClose] {
    var loop = Loop(
      seed: seed, crashes: true, auctions: auctions, method: seed == 406 ? .span16 : .novate32)
    var log = MerkleLog()
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
      log.append(leafHash: loop.record[number].cleared.logLeaf)
    }
    var found: [DirectedClose] = []
    for (number, batch) in loop.record.enumerated() {
      let body = try BatchBody(batch.body)
      for place in 0..<body.eventCount where body.eventKind(place) == .fill {
        let fill = body.event(place, as: Fill.self)
        guard fill.causeCode == FillCause.close.rawValue else { continue }
        let before = loop.record[number - 1].header
        var clearings: [ClearingHeader] = []
        var decided = Int(batch.header.creditBatch.raw)
        while true {
          let earlier = loop.record[decided]
          clearings.append(earlier.cleared)
          if DecisionProof.place(in: earlier.receipts, behind: fill) != nil { break }
          decided -= 1
        }
        let made = loop.record[decided]
        found.append(
          DirectedClose(
            genesis: loop.genesis,
            trade: try #require(TradeProof(of: fill.trade, in: body, receipts: batch.receipts)),
            decision: DecisionProof(
              executionBefore: before, clearings: clearings, receipts: made.receipts,
              place: try #require(DecisionProof.place(in: made.receipts, behind: fill)),
              witness: try #require(made.decisions?.witness(of: fill.taker))),
            batch: batch.header, clearance: batch.cleared,
            log: LogProof(
              index: UInt64(number), size: 150,
              path: log.inclusionProof(of: number, size: 150))))
      }
    }
    return found
  }

  @Test("every close of a crash verifies, and the second reader decides the same", arguments: days)
  func honest(seed: UInt64, auctions: Bool) throws {
    let closes = try Self.closes(seed, auctions: auctions)
    // With auctions only what nobody bought is closed against the book.
    #expect(closes.count > (auctions ? 0 : 5), "seed \(seed): \(closes.count) closes")
    for (place, close) in closes.enumerated() {
      let verdict = close.verdict()
      let trade = close.trade.fill.trade
      #expect(verdict.exitCode == 0, "seed \(seed), trade \(trade): \(verdict.checks)")
      #expect(verdict.answer.contains { $0.contains("below maintenance") })
      guard place < 3 else { continue }
      #expect(close.verdict(without: true).exitCode == 3)
      guard
        let (code, text) = try SecondReaderTests().verdict(close.file(), "verify.py")
      else { return }
      #expect(code == 0, "seed \(seed), trade \(trade): \(text)")
    }
  }

  @Test("what settlement keeps of decisions comes back as it was")
  func kept() throws {
    var loop = Loop(seed: 401, crashes: true)
    for number in 0..<150 { _ = try loop.step(number) }
    let all = loop.record.compactMap(\.decisions)
    #expect(!all.isEmpty)
    for records in all {
      let bytes = records.encoded
      let again = try DecisionRecords(decoding: bytes.rawSpan)
      #expect(again == records)
      for entry in records.accounts {
        #expect(again.witness(of: entry.proof.account) == records.witness(of: entry.proof.account))
      }
    }
  }

  @Test("a decision that the rules do not give is refused, whoever signed it")
  func forged() throws {
    let honest = try #require(
      try Self.closes(401, auctions: false).first { $0.decision.clearings.count == 1 })
    func outcome(_ change: (inout ClearingHeader, inout DecisionProof) -> Void) throws -> String {
      var close = honest
      try close.forge(change)
      let verdict = close.verdict()
      let reason = verdict.checks.first { $0.status == .fail }?.reason
      #expect(verdict.exitCode == 1, "\(verdict.checks)")
      if let (code, text) = try SecondReaderTests().verdict(close.file(), "verify.py") {
        #expect(code == 1, "\(text)")
      }
      return reason ?? "no fault"
    }
    // The forger's tools alone change nothing.
    var same = honest
    try same.forge { _, _ in }
    #expect(same.verdict().exitCode == 0)

    let better = try outcome { _, proof in
      let away: Int64 = proof.receipt.quantity.raw > 0 ? 1 : -1
      proof.receipt.price = Price(raw: proof.receipt.price.raw + away * TestWorld.tick)
    }
    #expect(better.contains("taken again differs"), "\(better)")
    let rich = try outcome { _, proof in
      proof.witness.change { $0[0] = Bytes32((UInt64(1 << 60).littleEndian, 0, 0, 0)) }
    }
    #expect(rich.contains("not due"), "\(rich)")
    let free = try outcome { _, proof in
      proof.witness.change { fields in
        let words = fields[3].words
        fields[3] = Bytes32((0, words.1, words.2, words.3))
      }
    }
    #expect(free.contains("not told to close"), "\(free)")
    let stale = try outcome { _, proof in
      proof.witness.change { fields in
        let words = fields[3].words
        fields[3] = Bytes32((words.0, words.1 - 1, words.2, words.3))
      }
    }
    #expect(stale.contains("not told to close"), "\(stale)")
  }

  @Test("nothing may be left out, and no bit of a proof may differ")
  func damaged() throws {
    let honest = try #require(try Self.closes(402, auctions: false).last)
    for place in honest.decision.witness.records.indices {
      var close = honest
      let record = close.decision.witness.records.remove(at: place)
      #expect(close.verdict().exitCode == 3, "\(record.pool)")
    }
    var close = honest
    close.decision.witness.slices.removeLast()
    #expect(close.verdict().exitCode == 1)
    close = honest
    close.decision.clearings.removeLast()
    #expect(close.verdict().exitCode == 1)
    close = honest
    close.decision.executionBefore.creditBatch = honest.batch.creditBatch
    #expect(close.verdict().exitCode == 1)

    let section = honest.decision.encoded
    let base = try BundleFile(honest.file())
    for offset in stride(from: 0, to: section.count, by: 3) {
      var bytes = section
      bytes[offset] ^= 1 << UInt8(offset % 8)
      let file = BundleFile.encoded(
        base.manifest,
        base.sections.dropFirst().map {
          ($0.type, $0.type == .decisionProof ? bytes : $0.bytes)
        })
      #expect(honest.judge(file).exitCode != 0, "byte \(offset) of \(section.count)")
    }
  }

  @Test("a state that no clearing would sign is refused, never stumbled over")
  func hostile() throws {
    var random = Generator(seed: 761)
    var refused = 0
    for close in try Self.closes(404, auctions: false).prefix(4) {
      for _ in 0..<4_000 {
        var witness = close.decision.witness
        for _ in 0..<(1 + random.below(3)) {
          switch random.below(4) {
          case 0:
            let field = random.below(8)
            var bytes = witness.account.fields[field].withBytes { $0.array }
            bytes[random.below(32)] = UInt8(truncatingIfNeeded: random.next())
            witness.account.fields[field] = Bytes32(bytes.rawSpan)
          case 1:
            let at = 36 + random.below(witness.account.positions.count - 36)
            witness.account.positions[at] = UInt8(truncatingIfNeeded: random.next())
          default:
            let place = random.below(witness.records.count)
            let at = random.below(witness.records[place].bytes.count)
            witness.records[place].bytes[at] = UInt8(truncatingIfNeeded: random.next())
          }
        }
        do {
          _ = try ClearingMachine.close(witness, close.genesis)
        } catch {
          refused += 1
        }
      }
    }
    print("hostile witnesses refused: \(refused) of 16000, seed 761")
    #expect(refused > 1_000)
  }
}
