import Commitments
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

private let world: World = {
  do { return try World(seed: 0x7A3, count: 12) } catch { preconditionFailure("\(error)") }
}()

@Suite("what was altered or forged is found")
struct TamperingTests {
  private static func files() throws -> [(String, [UInt8])] {
    let small = try World(seed: 0x7A3, count: 2)
    return [
      ("range", try small.range()), ("account", try world.accountFile(AccountID(7))),
      ("trade", try world.tradeFile(world.trades[0])), ("evidence", try world.evidence()),
    ]
  }

  @Test("no flipped bit passes: every bit of every byte")
  func flips() throws {
    for (name, file) in try TamperingTests.files() {
      var bytes = file
      var passed: [Int] = []
      for bit in 0..<(file.count * 8) {
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        let code = world.hash.verify(bytes).exitCode
        if code != 1 && code != 3 { passed.append(bit) }
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
      #expect(passed.isEmpty, "\(name): bits \(passed.prefix(10))")
    }
  }

  @Test("no shortened file passes, and no lengthened one")
  func truncations() throws {
    for (name, file) in try TamperingTests.files() {
      for count in 0..<file.count {
        let code = world.hash.verify(Array(file[..<count])).exitCode
        #expect(code == 1, "\(name) cut to \(count) bytes")
      }
      #expect(world.hash.verify(file + [0]).exitCode == 1)
    }
  }

  @Test("no bit flipped under fresh hashes passes")
  func resealedFlips() throws {
    let seed: UInt64 = 0x0DD
    var random = Generator(seed: seed)
    for (name, file) in [
      ("range", try world.range()), ("account", try world.accountFile(AccountID(7))),
      ("absence", try world.accountFile(AccountID(4_000))),
      ("trade", try world.tradeFile(world.trades[0])), ("evidence", try world.evidence()),
    ] {
      let parsed = try BundleFile(file)
      for section in parsed.sections.dropFirst() {
        for _ in 0..<60 {
          let bit = random.below(section.bytes.count * 8)
          let changed = parsed.resealed(section.type) { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
          let code = world.hash.verify(changed).exitCode
          #expect(
            code == 1 || code == 3, "\(name), section \(section.type), bit \(bit), seed \(seed)")
        }
      }
    }
  }

  @Test("swapped sections and sections that do not belong are refused")
  func swapped() throws {
    let file = try BundleFile(world.range())
    let batches = file[.batches] ?? []
    let clearances = file[.clearances] ?? []
    let swapped = BundleFile.encoded(
      file.manifest,
      file.sections.dropFirst().map {
        switch $0.type {
        case .batches: ($0.type, clearances)
        case .clearances: ($0.type, batches)
        default: ($0.type, $0.bytes)
        }
      })
    #expect(world.hash.verify(swapped).exitCode == 1)
    let extra = BundleFile.encoded(
      file.manifest, file.sections.dropFirst().map { ($0.type, $0.bytes) } + [(.evidence, [0])])
    #expect(world.hash.verify(extra).exitCode == 1)
    var manifest = file.manifest
    manifest.first = BatchNumber(1)
    let shifted = BundleFile.encoded(
      manifest, file.sections.dropFirst().map { ($0.type, $0.bytes) })
    #expect(world.hash.verify(shifted).exitCode == 1)
  }

  @Test("padded proofs are refused")
  func padded() throws {
    var proof = try world.proof(AccountID(4_000), at: 11)
    proof.positions = [1, 2, 3]
    #expect(world.hash.verify(try world.accountFile(AccountID(4_000), proof: proof)).exitCode == 1)
    var log = world.logProof(11)
    log.path.append(.zero)
    #expect(world.hash.verify(try world.accountFile(AccountID(7), log: log)).exitCode == 1)
    let trade = world.trades[0]
    #expect(
      world.hash.verify(try world.tradeFile(trade) { $0.fillPath.append(.zero) }).exitCode == 1)
    #expect(
      world.hash.verify(
        try world.tradeFile(trade) { $0.receipt.buyerCash = Money(raw: 1) }
      ).exitCode == 1)
    let file = try BundleFile(world.accountFile(AccountID(7)))
    #expect(world.hash.verify(file.resealed(.accountProof) { $0.append(0) }).exitCode == 1)
  }

  @Test("one unit of one account more, signed by clearing, is named")
  func oneUnit() throws {
    // Clearing lies in batch 7 and signs everything after it consistently with the lie.
    var clearances = world.clearances
    let claimed = clearances[7].body
    var body = try ClearanceBody(encoded: claimed.rawSpan)
    body.accounts[1].cash = Money(raw: body.accounts[1].cash.raw + 1)
    var log = LogFrontier()
    for index in clearances.indices {
      var header = clearances[index].header
      if index == 7 {
        header.bodyHash = SHA256.digest(body.encoded)
        clearances[7].body = body.encoded
      }
      if index > 7 { header.previous = clearances[index - 1].header.id }
      header.logRootBefore = log.root
      log.append(leafHash: header.logLeaf)
      clearances[index] = SignedClearance(
        header: header, signature: TestWorld.key(2).sign(header.id), body: clearances[index].body)
    }
    let file = try world.range(
      checkpoints: [world.checkpoint(12, root: log.root)], clearances: clearances)
    let verdict = world.hash.verify(file)
    #expect(verdict.exitCode == 1 && verdict[.chain]?.status == .pass)
    let check = verdict[.replay]
    #expect(check?.batch == BatchNumber(7) && verdict.lastGood == BatchNumber(6))
    #expect(check?.reason == "clearing's accounts[1]", "\(verdict.text(name: "lie"))")
    #expect(check?.meaning?.hasPrefix("Clearing signed this") == true)
  }

  @Test("a root clearing made up is named by field and place")
  func madeUpRoot() throws {
    let last = world.clearances.count - 1
    let fork = world.forked(last) { $0.postRoot = .zero }
    let file = try world.range(
      checkpoints: [], clearances: world.clearances.dropLast() + [fork])
    let verdict = world.hash.verify(file)
    #expect(verdict[.replay]?.reason == "clearing's post_state_root")
    #expect(verdict.lastGood == BatchNumber(UInt64(last) - 1))
  }

  @Test("a transaction nobody signed is found, and who let it in")
  func forgedTransaction() throws {
    var batches = world.batches
    let index = batches.count - 1
    var body = batches[index].body
    body[8 + 96 + 64 + 5] ^= 1  // In the first bundle's signature.
    let header = ExecutionHeader.resigned(batches[index].header, body: body)
    batches[index] = SignedBatch(
      header: header, signature: TestWorld.key(1).sign(header.id), body: body)
    let clearance = world.forked(index) { $0.execution = header.id }
    let verdict = world.hash.verify(
      try world.range(
        checkpoints: [], batches: batches, clearances: world.clearances.dropLast() + [clearance]))
    #expect(verdict.exitCode == 1 && verdict[.chain]?.status == .pass)
    #expect(verdict[.replay]?.batch == BatchNumber(UInt64(index)))
  }

  @Test("evidence is proved, forged evidence is not, agreement is none")
  func comparison() throws {
    let file = try world.range()
    guard case .none(let common) = Comparison.compare(file, file) else {
      Issue.record("a file contradicts itself")
      return
    }
    #expect(common == 12)
    let evidence = try BundleFile(world.evidence())
    let section = evidence[.evidence] ?? []
    let parsed = try EquivocationEvidence(decoding: section.rawSpan)
    for forged in [
      EquivocationEvidence(layer: 2, first: parsed.first, second: parsed.first),
      EquivocationEvidence(layer: 1, first: parsed.first, second: parsed.second),
      EquivocationEvidence(
        layer: 2, first: parsed.first, second: Array(parsed.second.dropLast()) + [0]),
      EquivocationEvidence(
        layer: 2, first: parsed.first,
        second: BundleFileBuilder.head(world.clearances[6])),
    ] {
      let file = BundleFileBuilder.evidence(
        genesis: world.genesis, forged, batch: evidence.manifest.first)
      #expect(world.hash.verify(file).exitCode == 1)
    }
    let other = try World(seed: 1, count: 1, name: "other")
    guard case .undecided = Comparison.compare(file, try other.range()) else {
      Issue.record("two networks were compared")
      return
    }
    #expect(Comparison.compare(file, [1, 2, 3]).exitCode == 1)
  }

  @Test("two checkpoints of one size and two roots are proved from two files, and never forged")
  func twoCheckpoints() throws {
    let honest = try world.checkpoint(9)
    let other = try world.checkpoint(9, witnesses: 2, root: SHA256.digest([9]))
    let files = [
      try world.range(checkpoints: [world.checkpoint(12), honest]),
      try world.range(checkpoints: [other, world.checkpoint(12)]),
    ]
    guard
      case .equivocation("settlement", BatchNumber(8), let evidence) =
        Comparison.compare(files[0], files[1])
    else {
      Issue.record("\(Comparison.compare(files[0], files[1]))")
      return
    }
    let verdict = world.hash.verify(evidence)
    #expect(verdict.exitCode == 4, "\(verdict.text(name: "evidence"))")
    #expect(verdict.answer.first == "settlement signed two checkpoints of size 9")
    #expect(verdict.signers.map(\.key) == [world.genesis.settlementNote.key])
    // Small proofs are compared as well as ranges.
    let account = try world.accountFile(AccountID(7))
    #expect(
      Comparison.compare(
        account, try world.range(checkpoints: [world.checkpoint(12, root: .zero)])
      ).exitCode == 4)
    // Other sizes do not contradict each other, nor does another text of the same root.
    #expect(
      Comparison.compare(files[0], try world.range(checkpoints: [world.checkpoint(8)])).exitCode
        == 0)
    // A note that somebody else signed accuses nobody.
    var forged = Checkpoint(
      origin: world.genesis.settlementNote.name, size: 9, root: .zero
    ).note
    forged.append(honest.signatures[0])
    let outcome = Comparison.compare(files[0], try world.range(checkpoints: [forged]))
    #expect(outcome.exitCode == 1, "\(outcome)")
    func bytes(_ note: SignedNote) -> [UInt8] { Array(note.serialized.utf8) }
    for (first, second) in [
      (honest, honest), (honest, forged), (honest, try world.checkpoint(8)), (forged, other),
    ] {
      let file = BundleFileBuilder.evidence(
        genesis: world.genesis,
        EquivocationEvidence(layer: 3, first: bytes(first), second: bytes(second)),
        batch: BatchNumber(8))
      #expect(world.hash.verify(file).exitCode == 1)
    }
    let misplaced = BundleFileBuilder.evidence(
      genesis: world.genesis,
      EquivocationEvidence(layer: 3, first: bytes(honest), second: bytes(other)),
      batch: BatchNumber(9))
    #expect(world.hash.verify(misplaced).exitCode == 1)
  }

  @Test("the witness quorum: met, not met, a bad cosignature, a policy's own")
  func witnesses() throws {
    let world = try World(seed: 3, count: 3, quorum: 2)
    func verdict(_ note: SignedNote, _ policy: WitnessPolicy? = nil) throws -> Verdict {
      var verifier = world.hash
      verifier.policy = policy
      return verifier.verify(try world.range(checkpoints: [note]))
    }
    #expect(try verdict(world.checkpoint(3, witnesses: 2)).exitCode == 0)
    #expect(try verdict(world.checkpoint(3, witnesses: 1)).exitCode == 3)
    var bad = try world.checkpoint(3, witnesses: 2)
    let line = bad.signatures[1]
    bad.append(NoteSignature(name: line.name, keyID: line.keyID, bytes: line.bytes.reversed()))
    #expect(try verdict(bad).exitCode == 1)
    #expect(try verdict(world.checkpoint(3, witnesses: 2, root: .zero)).exitCode == 1)
    let keys = World.witnessKeys.map { "\(TestWorld.key($0).publicKey)" }
    let one = try WitnessPolicy(parsing: "witness w1 \(keys[0])\nquorum w1\n")
    #expect(try verdict(world.checkpoint(3, witnesses: 1), one).exitCode == 0)
    let third = try WitnessPolicy(parsing: "witness w3 \(keys[2])\nquorum w3\n")
    #expect(try verdict(world.checkpoint(3, witnesses: 2), third).exitCode == 3)
    let elsewhere = try WitnessPolicy(parsing: "log \(keys[0])\nquorum none\n")
    #expect(try verdict(world.checkpoint(3, witnesses: 2), elsewhere).exitCode == 3)
  }
}

extension ExecutionHeader {
  /// The header again for a changed body.
  static func resigned(_ header: ExecutionHeader, body: [UInt8]) -> ExecutionHeader {
    var header = header
    header.bodyHash = SHA256.digest(body)
    return header
  }
}
