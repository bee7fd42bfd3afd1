import Client
import Commitments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("acknowledgements shown to settlement", .serialized)
struct ShownPromiseTests {
  /// An acknowledgement of its own group, signed by `key`.
  private func promise(
    _ leaf: Acknowledgement, _ network: RecoveryNetwork, by key: borrowing SigningKey
  ) -> SignedAcknowledgement {
    let group = AcknowledgementGroup(
      term: 1, network: network.base.network, number: 1 << 40, count: 1,
      root: MerkleLog.leafHash(leaf.encoded.rawSpan))
    return SignedAcknowledgement(
      group: group, signature: key.sign(group.id), place: 0, path: [], leaf: leaf)
  }

  @Test("kept ones change nothing, forged ones are refused, a broken one freezes it for good")
  func shown() throws {
    let network = try RecoveryNetwork("shown")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    let answer = try network.submit(network.order(1), connection)
    let kept = SignedAcknowledgement(answer, try #require(answer.accepted.first))
    try network.base.settle(through: kept.leaf.batch)
    let settlement = try LayerClient(
      to: try Address(network.base.address("settlement")), .settlement,
      genesis: network.base.genesis)
    #expect(try settlement.judge(kept))
    var leaf = kept.leaf
    leaf.bundle = SHA256.digest([1])
    // Nobody but execution promises.
    let stranger = KeyRole.clearing.key(seed: TestNetwork.seed)
    let forged = promise(leaf, network, by: stranger)
    #expect(throws: ClientFailure.self) { try settlement.judge(forged) }
    // Of a batch to come nothing can be said.
    var later = leaf
    later.batch = BatchNumber(1 << 40)
    let execution = KeyRole.execution.key(seed: TestNetwork.seed)
    let early = promise(later, network, by: execution)
    #expect(throws: ClientFailure.self) { try settlement.judge(early) }
    #expect(try network.state("settlement") == "serving")
    // Another bundle where this one was promised.
    #expect(try !settlement.judge(promise(leaf, network, by: execution)))
    try network.waitFor("settlement", toBe: "frozen")
    let frozen = try #require(try network.status("settlement")["frozen"])
    #expect(try frozen.string(at: "layer") == "execution")
    #expect(try frozen.string(at: "expected").contains("\(leaf.bundle) at place \(leaf.index)"))
    try network.waitFor("execution", toBe: "frozen")
    network.kill("settlement")
    try network.start("settlement")
    #expect(try network.state("settlement") == "frozen")
    try network.stopAll()
  }
}
