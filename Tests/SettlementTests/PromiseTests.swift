import Commitments
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

private let world: World = {
  do { return try World(seed: 0x9A3, count: 8) } catch { preconditionFailure("\(error)") }
}()

/// An acknowledgement, alone in its group unless told otherwise, signed by execution unless told
/// otherwise.
private func promise(
  _ bundle: Digest, batch: UInt64, index: UInt32, by key: borrowing SigningKey = TestWorld.key(1)
) -> SignedAcknowledgement {
  let leaf = Acknowledgement(
    account: AccountID(7), key: TestWorld.key(7).publicKey, nonce: 1, bundle: bundle,
    batch: BatchNumber(batch), index: index, outcomes: [])
  let other = MerkleLog.leafHash([1])
  let tree = MerkleLog(leafHashes: [other, MerkleLog.leafHash(leaf.encoded.rawSpan)])
  let group = AcknowledgementGroup(
    term: 1, network: world.genesis.networkID, number: 3, count: 2, root: tree.root)
  return SignedAcknowledgement(
    group: group, signature: key.sign(group.id), place: 1,
    path: tree.inclusionProof(of: 1, size: 2), leaf: leaf)
}

/// The first batch with two bundles, and the ids of them all.
private func fullBatch() throws -> (batch: SignedBatch, ids: [Digest]) {
  for batch in world.batches where batch.header.bundleCount > 1 {
    let body = try BatchBody(batch.body)
    return (batch, body.bundles.map { $0.id(network: world.genesis.networkID) })
  }
  preconditionFailure("the world has a batch of two bundles")
}

@Suite("a promise that a batch breaks is proved from two files, and never forged")
struct PromiseTests {
  private func compare(_ promises: [SignedAcknowledgement]) throws -> Comparison.Outcome {
    Comparison.compare(KeptAcknowledgements.encoded(promises), try world.range())
  }

  @Test("every bundle where it was promised is a kept promise")
  func kept() throws {
    var promises: [SignedAcknowledgement] = []
    for batch in world.batches {
      for (index, bundle) in try BatchBody(batch.body).bundles.enumerated() {
        promises.append(
          promise(
            bundle.id(network: world.genesis.networkID), batch: batch.header.batch.raw,
            index: UInt32(index)))
      }
    }
    guard case .kept(let count) = try compare(promises) else {
      Issue.record("\(try compare(promises))")
      return
    }
    #expect(count == promises.count && count > 8)
    #expect(try KeptAcknowledgements.decoded(KeptAcknowledgements.encoded(promises)) == promises)
  }

  @Test("another bundle in its place, the same one elsewhere, or a batch too short: proved")
  func broken() throws {
    let (batch, ids) = try fullBatch()
    let number = batch.header.batch.raw
    let end = batch.header.bundleCount
    for (id, index) in [(ids[1], UInt32(0)), (.zero, 1), (ids[0], end), (ids[0], .max)] {
      let outcome = try compare([promise(id, batch: number, index: index)])
      guard case .brokenPromise(let bundle, let at, let place, let evidence) = outcome else {
        Issue.record("\(outcome)")
        continue
      }
      #expect(bundle == id && at == batch.header.batch && place == index)
      let verdict = world.hash.verify(evidence)
      #expect(verdict.exitCode == 4, "\(verdict.text(name: "evidence"))")
      #expect(verdict.signers.map(\.key) == [world.genesis.execution.object])
      #expect(verdict.answer.first?.contains("a promise of place \(index)") == true)
      // No bit of it may change.
      var random = Generator(seed: 0x9A4)
      let parsed = try BundleFile(evidence)
      for _ in 0..<400 {
        let changed = parsed.resealed(.evidence) {
          $0[random.below($0.count)] ^= 1 << UInt8(random.below(8))
        }
        let code = world.hash.verify(changed).exitCode
        #expect(code == 1 || code == 3, "place \(index), seed 0x9A4")
      }
    }
  }

  @Test("a batch and a promise alone give the evidence, or none")
  func breach() throws {
    let (batch, ids) = try fullBatch()
    let number = batch.header.batch.raw
    let network = world.genesis.networkID
    #expect(try promise(ids[0], batch: number, index: 0).breach(by: batch, network: network) == nil)
    let broken = promise(ids[1], batch: number, index: 0)
    let evidence = try #require(try broken.breach(by: batch, network: network))
    #expect(evidence.layer == 4 && evidence.first == broken.encoded)
    #expect(try BatchPlace(decoding: evidence.second.rawSpan) == BatchPlace(0, of: batch))
  }

  @Test("a forged promise accuses nobody, and a kept one is no evidence")
  func forged() throws {
    let (batch, ids) = try fullBatch()
    let number = batch.header.batch.raw
    let stranger = promise(ids[1], batch: number, index: 0, by: TestWorld.key(9))
    #expect(try compare([stranger]).exitCode == 1)
    #expect(
      try compare([promise(ids[0], batch: number, index: 0, by: TestWorld.key(9))]).exitCode == 1)
    #expect(try compare([promise(ids[0], batch: 1_000, index: 0)]).exitCode == 3)
    let honest = promise(ids[0], batch: number, index: 0)
    // A batch that execution did not sign keeps no promise, and a proof's bare header says nothing.
    var unsigned = world.batches
    unsigned[Int(number)].signature = .zero
    let kept = KeptAcknowledgements.encoded([honest])
    #expect(Comparison.compare(kept, try world.range(batches: unsigned)).exitCode == 1)
    let bare = try world.tradeFile(world.trades[0])
    #expect(Comparison.compare(kept, bare).exitCode == 3)
    let broken = promise(ids[1], batch: number, index: 0)
    let place = try BatchPlace(0, of: batch)
    var empty = place
    (empty.bundle, empty.path) = ([], [])
    var elsewhere = try BatchPlace(1, of: batch)
    elsewhere.path = place.path
    var behind = try BatchPlace(batch.header.bundleCount, of: batch)
    behind.bundle = place.bundle
    let late = promise(ids[0], batch: number, index: batch.header.bundleCount)
    for (first, second) in [
      (honest, place), (stranger, place), (broken, empty), (broken, elsewhere), (late, behind),
    ] {
      let file = BundleFileBuilder.evidence(
        genesis: world.genesis,
        EquivocationEvidence(layer: 4, first: first.encoded, second: second.encoded),
        batch: BatchNumber(number))
      #expect(world.hash.verify(file).exitCode == 1)
    }
    // What stands behind a header of another batch is not judged by this one.
    let next = try #require(world.batches.first { $0.header.batch.raw != number })
    let file = BundleFileBuilder.evidence(
      genesis: world.genesis,
      EquivocationEvidence(
        layer: 4, first: broken.encoded, second: try BatchPlace(0, of: next).encoded),
      batch: BatchNumber(number))
    #expect(world.hash.verify(file).exitCode == 1)
  }
}
