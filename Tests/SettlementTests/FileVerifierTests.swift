import Commitments
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

/// One world for all tests that do not change it.
private let world: World = {
  do { return try World(seed: 0x5EED) } catch { preconditionFailure("\(error)") }
}()

@Suite("a bundle file is judged by itself")
struct FileVerifierTests {
  @Test("two runs of one seed give one root, another seed another")
  func determinism() throws {
    #expect(try World(seed: 0x5EED).finalRoot == world.finalRoot)
    #expect(try World(seed: 0xBEEF).finalRoot != world.finalRoot)
    #expect(world.trades.count > 3, "the seed trades too little to test with")
  }

  @Test("a range from genesis verifies at every level", arguments: VerificationLevel.allCases)
  func levels(level: VerificationLevel) throws {
    var verifier = world.hash
    verifier.level = level
    if level == .inclusion { verifier.question = .account(AccountID(7)) }
    let verdict = verifier.verify(try world.range())
    #expect(verdict.outcome == .verified, "\(verdict.text(name: "range"))")
    #expect(verdict.checks.count == 5, "a skipped check is listed")
  }

  @Test("a range verifies by default, against a hash and against the genesis itself")
  func range() throws {
    let file = try world.range()
    for verifier in [world.hash, FileVerifier(pin: .genesis(world.genesis))] {
      let verdict = verifier.verify(file)
      #expect(verdict.outcome == .verified, "\(verdict.text(name: "range"))")
      #expect(verdict.lastGood == BatchNumber(15) && verdict.exitCode == 0)
      #expect(verdict[.inclusion]?.status == .skip)
    }
  }

  @Test("questions are answered from a replayed range")
  func questions() throws {
    let file = try world.range()
    var verifier = world.hash
    verifier.question = .account(AccountID(7))
    #expect(verifier.verify(file).answer.first == "account 7 exists")
    verifier.question = .account(AccountID(4_000))
    #expect(verifier.verify(file).answer == ["account 4000 does not exist"])
    verifier.question = .trade(world.trades[0])
    #expect(verifier.verify(file).outcome == .verified)
    verifier.question = .trade(TradeID(1 << 40))
    #expect(verifier.verify(file).outcome == .undecided)
  }

  @Test("account, absence, trade and evidence files verify")
  func proofs() throws {
    for file in [
      try world.accountFile(AccountID(7)), try world.accountFile(AccountID(4_000)),
      try world.tradeFile(world.trades[1]),
    ] {
      let verdict = world.hash.verify(file)
      #expect(verdict.outcome == .verified, "\(verdict.text(name: "proof"))")
    }
    let verdict = world.hash.verify(try world.evidence())
    #expect(verdict.exitCode == 4, "\(verdict.text(name: "evidence"))")
    #expect(verdict.summary.contains("batch 5"))
  }

  @Test("a proof that does not fit the question decides nothing")
  func misfit() throws {
    var verifier = world.hash
    verifier.question = .account(AccountID(8))
    #expect(verifier.verify(try world.accountFile(AccountID(7))).exitCode == 3)
    verifier.question = .trade(world.trades[0])
    #expect(verifier.verify(try world.accountFile(AccountID(7))).exitCode == 3)
    #expect(verifier.verify(try world.evidence()).exitCode == 3)
  }

  @Test("a range from a snapshot in the middle verifies, and a changed snapshot does not")
  func snapshots() throws {
    let file = try world.range(6)
    let verdict = world.hash.verify(file)
    #expect(verdict.outcome == .verified, "\(verdict.text(name: "middle"))")
    let parsed = try BundleFile(file)
    var random = Generator(seed: 0x51AF)
    let count = parsed[.preState]?.count ?? 0
    for _ in 0..<1_500 {
      let bit = random.below(count * 8)
      let changed = parsed.resealed(.preState) { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
      #expect(world.hash.verify(changed).exitCode == 1, "bit \(bit) of the snapshot")
    }
    #expect(
      world.hash.verify(try world.range(6, preState: world.withReplay(7) { $0.preState() }))
        .exitCode == 1)
    let none = world.hash.verify(parsed.without(.preState))
    #expect(none.exitCode == 3 && none[.chain]?.status == .pass)
  }

  @Test("missing sections leave the verdict open")
  func missing() throws {
    let file = try BundleFile(world.range())
    for type in [SectionType.genesis, .batches, .clearances, .checkpoints] {
      #expect(world.hash.verify(file.without(type)).exitCode == 3, "without \(type)")
    }
    let account = try BundleFile(world.accountFile(AccountID(7)))
    for type in [SectionType.clearances, .checkpoints, .accountProof, .logProof] {
      #expect(world.hash.verify(account.without(type)).exitCode == 3, "without \(type)")
    }
    let trade = try BundleFile(world.tradeFile(world.trades[0]))
    for type in [SectionType.batches, .tradeProof] {
      #expect(world.hash.verify(trade.without(type)).exitCode == 3, "without \(type)")
    }
    #expect(FileVerifier(pin: nil).verify(try world.range()).exitCode == 3)
    let late = world.hash.verify(try world.range(checkpoints: [world.checkpoint(10)]))
    #expect(late.exitCode == 3 && late.lastGood == BatchNumber(9))
    #expect(late.decisive?.reason.contains("signed by clearing, not settled") == true)
  }

  @Test("another network's genesis is refused")
  func network() throws {
    let other = try World(seed: 1, count: 1, name: "other")
    #expect(other.hash.verify(try world.range()).exitCode == 1)
    let file = try BundleFile(world.range())
    #expect(world.hash.verify(file.resealed(.genesis) { $0 = other.genesis.encoded }).exitCode == 1)
  }

  @Test("nothing may be stamped after the time asked about")
  func time() throws {
    var verifier = world.hash
    verifier.at = Timestamp(raw: TestWorld.start.raw + 3_000)
    let verdict = verifier.verify(try world.range())
    #expect(verdict.exitCode == 1 && verdict.lastGood == BatchNumber(3))
  }

  @Test("text and JSON say the same for the same file")
  func output() throws {
    let verdict = world.hash.verify(try world.range())
    let text = verdict.text(name: "day.nvb")
    #expect(text.hasSuffix("VERIFIED at level log. Good through seq 15.\n"), "\(text)")
    #expect(text.contains("  PASS  chain        32 signatures\n"))
    #expect(text.contains("  batches     0..15  (16)\n"))
    let json = verdict.json(name: "day.nvb")
    #expect(json.hasPrefix(#"{"schema":"novate.verify/1","file":"day.nvb","sha256":""#))
    #expect(throws: Never.self) { try JSONValue.parse(json) }
    #expect(Verdict.worst([0, 3, 1]) == 1 && Verdict.worst([5, 0, 2]) == 5)
    #expect(Verdict.worst([4, 1]) == 4 && Verdict.worst([0]) == 0)
  }
}
