import Commitments
import Instruments
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

@testable import Clearing

/// An auction that began in a day, and what proves why.
private struct BegunAuction {
  let genesis: Genesis
  var proof: AuctionProof
  let batch: ExecutionHeader
  var clearance: ClearingHeader
  let log: LogProof

  /// The file, both headers signed by their layers.
  func file(without: Bool = false) -> [UInt8] {
    let batch = SignedBatch(
      header: batch, signature: TestWorld.key(1).sign(batch.id), body: [])
    let clearance = SignedClearance(
      header: clearance, signature: TestWorld.key(2).sign(clearance.id), body: [])
    let file = BundleFileBuilder.auctionStart(
      genesis: genesis, proof: proof, batch: batch, clearance: clearance,
      log: log, checkpoint: nil)
    return without ? AuctionDecisionTests.replace(in: file, nil) : file
  }

  func judge(_ file: [UInt8], _ question: DecisionID? = nil) -> Verdict {
    FileVerifier(
      pin: .hash(genesis.networkID), level: .inclusion,
      question: question.map { FileVerifier.Question($0) }
    ).verify(file)
  }

  /// Clearing signs another header, and all that follows from it is made anew.
  mutating func forge(_ change: (inout AuctionProof) -> Void) throws {
    change(&proof)
    clearance.receiptsRoot = proof.receipt.withBytes { MerkleLog.leafHash($0) }
    clearance.receiptCount = 1
    clearance.postRoot = try #require(proof.witness.stateRoot)
    proof.receiptIndex = 0
    proof.receiptPath = []
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

@Suite("An auction's start is decided again from its proof alone") struct AuctionDecisionTests {
  /// Accounts with collateral in the second, by `span-16` in the third.
  private static let days: [(seed: UInt64, collateral: Bool, isSpan: Bool)] = [
    (742, false, false), (743, true, false), (744, false, true),
  ]

  private static func auctions(_ seed: UInt64, collateral: Bool = false, isSpan: Bool = false)
    throws -> [BegunAuction]
  {
    var loop = Loop(
      seed: seed, crashes: true, auctions: true, collateral: collateral,
      method: isSpan ? .span16 : .novate32)
    var log = MerkleLog()
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
      log.append(leafHash: loop.record[number].cleared.logLeaf)
    }
    var found: [BegunAuction] = []
    for (number, batch) in loop.record.enumerated() {
      for place in stride(from: 0, to: batch.receipts.count, by: Receipt.byteCount) {
        let receipt = Receipt(batch.receipts.rawSpan, at: place)
        guard receipt.kind == .auctionStart else { continue }
        let decisions = try #require(batch.decisions)
        let proof = AuctionProof(ofStart: receipt.id, in: batch.receipts, decisions)
        found.append(
          BegunAuction(
            genesis: loop.genesis, proof: try #require(proof), batch: batch.header,
            clearance: batch.cleared,
            log: LogProof(
              index: UInt64(number), size: 150,
              path: log.inclusionProof(of: number, size: 150))))
      }
    }
    return found
  }

  /// The file with another auction proof, or without one.
  fileprivate static func replace(in file: [UInt8], _ section: [UInt8]?) -> [UInt8] {
    do {
      let base = try BundleFile(file)
      return BundleFile.encoded(
        base.manifest,
        base.sections.dropFirst().compactMap {
          $0.type == .auctionProof ? section.map { (.auctionProof, $0) } : ($0.type, $0.bytes)
        })
    } catch {
      Issue.record("\(error)")
      return file
    }
  }

  @Test("every start of a crash verifies, and the second reader decides the same", arguments: days)
  func honest(seed: UInt64, collateral: Bool, isSpan: Bool) throws {
    let auctions = try Self.auctions(seed, collateral: collateral, isSpan: isSpan)
    #expect(auctions.count > 3, "seed \(seed): \(auctions.count) auctions")
    let balances = auctions.filter { !$0.proof.witness.account.balances.isEmpty }.count
    #expect((balances > 0) == collateral, "seed \(seed): \(balances) with balances")
    #expect(auctions.contains { $0.proof.receipt.paid.raw > 0 }, "seed \(seed): no fee")
    for (place, auction) in auctions.enumerated() {
      let number = auction.proof.receipt.id
      let verdict = auction.judge(auction.file(), .auctionStart(number))
      #expect(verdict.exitCode == 0, "seed \(seed), auction \(number): \(verdict.checks)")
      #expect(verdict.answer.contains { $0.hasPrefix("auction \(number) of account") })
      guard place < 3 else { continue }
      #expect(auction.judge(auction.file(without: true)).exitCode == 3)
      #expect(auction.judge(auction.file(), .auctionStart(number + 1)).exitCode == 3)
      #expect(auction.judge(auction.file(), .trade(TradeID(number))).exitCode == 3)
      guard
        let (code, text) = try SecondReaderTests().verdict(auction.file(), "verify.py")
      else { return }
      #expect(code == 0, "seed \(seed), auction \(number): \(text)")
    }
  }

  @Test("a start that the rules do not give is refused, whoever signed it")
  func forged() throws {
    let honest = try #require(
      try Self.auctions(742).first { $0.proof.receipt.paid.raw > 0 })
    func outcome(_ change: (inout AuctionProof) -> Void) throws -> String {
      var auction = honest
      try auction.forge(change)
      let verdict = auction.judge(auction.file())
      #expect(verdict.exitCode == 1, "\(verdict.checks)")
      if let (code, text) = try SecondReaderTests().verdict(auction.file(), "verify.py") {
        #expect(code == 1, "\(text)")
      }
      return verdict.checks.first { $0.status == .fail }?.reason ?? "no fault"
    }
    var same = honest
    try same.forge { _ in }
    #expect(same.judge(same.file()).exitCode == 0)

    let dear = try outcome { proof in
      proof.receipt.paid = Money(raw: proof.receipt.paid.raw + 1)
      proof.witness.change { fields in
        let words = fields[0].words
        let cash = Int64(bitPattern: UInt64(littleEndian: words.0)) - 1
        fields[0] = Bytes32((UInt64(bitPattern: cash).littleEndian, words.1, words.2, words.3))
      }
    }
    #expect(dear.contains("taken again differs"), "\(dear)")
    let rich = try outcome { proof in
      proof.witness.change { $0[0] = Bytes32((UInt64(1 << 60).littleEndian, 0, 0, 0)) }
    }
    #expect(rich.contains("not due"), "\(rich)")
    let free = try outcome { proof in
      proof.witness.change { fields in
        let words = fields[3].words
        fields[3] = Bytes32((0, words.1, words.2, words.3))
      }
    }
    #expect(free.contains("no such auction"), "\(free)")
    let tranches = try outcome { proof in
      proof.receipt.sellerPosition = Quantity(raw: proof.receipt.paid.raw + 1)
    }
    #expect(tranches.contains("taken again differs"), "\(tranches)")
    let other = try outcome { $0.receipt.id += 1 }
    #expect(other.contains("no such auction"), "\(other)")
  }

  @Test("no proof is made where the account was repaid of a loss after its auction began")
  func repaid() throws {
    var start = Receipt(.auctionStart)
    (start.buyer, start.id) = (AccountID(7), 1)
    var repayment = Receipt(.repayment)
    repayment.buyer = start.buyer
    var another = repayment
    another.buyer = AccountID(8)
    func packed(_ receipts: [Receipt]) -> [UInt8] {
      receipts.flatMap { $0.withBytes { $0.array } }
    }
    let seven = AccountID(7)
    #expect(ClearingMachine.isRepaid(seven, in: packed([start, another, repayment]), after: 0))
    #expect(!ClearingMachine.isRepaid(seven, in: packed([repayment, start, another]), after: 1))
    #expect(!ClearingMachine.isRepaid(seven, in: packed([start]), after: 0))

    // Such a proof would accuse a clearing that was right.
    let honest = try #require(try Self.auctions(742).last)
    var late = Receipt(.repayment)
    late.buyer = honest.proof.receipt.buyer
    let witness = honest.proof.witness
    var records = DecisionRecords(roots: witness.roots)
    (records.records, records.slices) = (witness.records, witness.slices)
    records.accounts = [(witness.account, witness.records.indices.map { UInt32($0) })]
    let (receipt, number) = (honest.proof.receipt, honest.proof.receipt.id)
    #expect(AuctionProof(ofStart: number, in: packed([late, receipt]), records) != nil)
    #expect(AuctionProof(ofStart: number, in: packed([receipt, late]), records) == nil)
  }

  @Test("every phase an auction may stand in has its name")
  func phases() {
    let names = (1...4).map { ClearingMachine.AuctionView(phase: $0).phaseName }
    #expect(names == ["solvent", "insolvent", "overdue", "deleveraging"])
  }

  @Test("nothing may be left out, and no bit of a proof may differ")
  func damaged() throws {
    let honest = try #require(try Self.auctions(743, collateral: true).last)
    for place in honest.proof.witness.records.indices {
      var auction = honest
      let record = auction.proof.witness.records.remove(at: place)
      #expect(auction.judge(auction.file()).exitCode == 3, "\(record.pool)")
    }
    let section = honest.proof.encoded
    let file = honest.file()
    for offset in stride(from: 0, to: section.count, by: 3) {
      var bytes = section
      bytes[offset] ^= 1 << UInt8(offset % 8)
      let other = Self.replace(in: file, bytes)
      #expect(honest.judge(other).exitCode != 0, "byte \(offset) of \(section.count)")
    }
  }

  @Test("a state that no clearing would sign is refused, never stumbled over")
  func hostile() throws {
    var random = Generator(seed: 762)
    var refused = 0
    for auction in try Self.auctions(743, collateral: true).prefix(4) {
      for _ in 0..<4_000 {
        var (witness, claimed) = (auction.proof.witness, auction.proof.receipt)
        for _ in 0..<(1 + random.below(3)) {
          switch random.below(5) {
          case 0:
            let field = random.below(8)
            var bytes = witness.account.fields[field].withBytes { $0.array }
            bytes[random.below(32)] = UInt8(truncatingIfNeeded: random.next())
            witness.account.fields[field] = Bytes32(bytes.rawSpan)
          case 1 where witness.account.positions.count > 36:
            let at = 36 + random.below(witness.account.positions.count - 36)
            witness.account.positions[at] = UInt8(truncatingIfNeeded: random.next())
          case 2:
            claimed.paid = Money(raw: Int64(truncatingIfNeeded: random.next()))
          default:
            let place = random.below(witness.records.count)
            let at = random.below(witness.records[place].bytes.count)
            witness.records[place].bytes[at] = UInt8(truncatingIfNeeded: random.next())
          }
        }
        do {
          _ = try ClearingMachine.auctionStart(witness, claimed, auction.genesis)
        } catch {
          refused += 1
        }
      }
    }
    print("hostile witnesses refused: \(refused) of 16000, seed 762")
    #expect(refused > 1_000)
  }
}
