import Client
import Commitments
import Instruments
import Primitives
import Settlement
import Testing
import Wire

@testable import CLI

extension TestNetwork {
  /// Publishers say where the first underlying stands.
  func say(_ dollars: Int64, _ sequence: UInt64, _ connection: BlockingConnection) throws {
    for publisher in builder.publishers {
      let word = Action.index(
        underlying: UnderlyingID(0), price: Price(raw: dollars * Price.scale),
        time: TestNetwork.now, sequence: sequence)
      let answer = try submit(bundle([word], publisher), connection)
      try #require(answer.accepted.first?.leaf.outcomes.first?.status == .accepted)
    }
  }
}

@Suite("a close through three processes", .serialized)
struct CloseTests {
  @Test("who is closed gets a file that decides it again, also after settlement's kill -9")
  func close() throws {
    let network = try TestNetwork("close")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let (long, short, waiting) = (
      network.builder.traders[0], network.builder.traders[1], network.builder.traders[2]
    )
    // 900 contracts at 60 000 take 8.64 of 10 million for margin; whoever closes them meets a bid.
    for (account, side, price) in [
      (short, Side.sell, Int64(60_000)), (long, Side.buy, 60_000), (waiting, Side.buy, 54_900),
    ] {
      let order = Action.place(
        instrument: InstrumentID(0), side: side, price: Price(raw: price * Price.scale),
        quantity: Quantity(raw: 900 * Quantity.scale), timeInForce: .gtc, postOnly: false,
        reduceOnly: false, clientID: 0)
      let answer = try network.submit(network.bundle([order], account), connection)
      let outcome = try #require(answer.accepted.first?.leaf.outcomes.first)
      try #require(outcome.status != .rejected, "code \(outcome.code)")
    }
    let clearing = try network.connect("clearing")
    var sequence: UInt64 = 1
    try network.wait("a close") {
      sequence += 1
      try network.say(55_000, sequence, connection)
      return try !DemoQuery.account(clearing, waiting).array(at: "positions").isEmpty
    }
    let status = try DemoQuery.status(clearing)
    let last = BatchNumber(try status.integer(at: "batch") as UInt64 - 1)
    try network.settle(through: last)
    network.kill("settlement")
    try network.start("settlement")
    // The first trade is the opening, the second the close.
    for trade in 1...2 {
      let path = "\(network.folder)/trade-\(trade).nvb"
      try #require(
        try Command.run(
          TestNetwork.programs + "/novate",
          [
            "prove", "trade", "\(trade)", "--settlement", network.address("settlement"),
            "--genesis", network.folder + "/genesis.json", "--out", path,
          ]) == 0)
      #expect(try network.verify(path) == 0)
      let verdict = FileVerifier(pin: .hash(network.network))
        .verify(try Files.read(path, byteCountMax: 1 << 20))
      let said = verdict.answer.joined(separator: "; ")
      #expect(said.contains("below maintenance") == (trade == 2), "\(said)")
    }
    try network.stopAll()
  }
}
