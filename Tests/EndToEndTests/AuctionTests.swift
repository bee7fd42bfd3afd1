import Client
import Commitments
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("an auction through three processes", .serialized)
struct AuctionTests {
  @Test("an account that falls below maintenance is frozen, sold to a bidder, settled and verified")
  func auction() throws {
    let network = try TestNetwork("auction") { $0.auctionFast = 3_600_000 }
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let (long, short, bidder) = (
      network.builder.traders[0], network.builder.traders[1], network.builder.traders[2]
    )
    // 900 contracts at 60 000 take 8.64 of 10 million for margin.
    for (account, side) in [(short, Side.sell), (long, Side.buy)] {
      let order = Action.place(
        instrument: InstrumentID(0), side: side, price: Price(raw: 60_000 * Price.scale),
        quantity: Quantity(raw: 900 * Quantity.scale), timeInForce: .gtc, postOnly: false,
        reduceOnly: false, clientID: 0)
      let answer = try network.submit(network.bundle([order], account), connection)
      let outcome = try #require(answer.accepted.first?.leaf.outcomes.first)
      try #require(outcome.status != .rejected, "code \(outcome.code)")
    }
    let clearing = try network.connect("clearing")
    try network.wait("a position") {
      try !DemoQuery.account(clearing, long).array(at: "positions").isEmpty
    }
    try ask(network, of: long, DemoQuery.account(clearing, long))
    let offer = AuctionOffer(
      account: long, stake: Money(raw: 9_000_000 * Money.scale),
      worst: Money(raw: 9_000_000 * Money.scale), part: Ratio(raw: Ratio.scale))
    var sequence: UInt64 = 1
    var last = BatchNumber(0)
    var sawFrozen = false
    try network.wait("a sale") {
      sequence += 1
      try network.say(55_000, sequence, connection)
      let view = try DemoQuery.account(clearing, long)
      if try view.bool(at: "frozen") { sawFrozen = true }
      let answer = try network.submit(network.bundle([.bid(offer)], bidder), connection)
      last = answer.accepted.first?.leaf.batch ?? last
      return try !DemoQuery.account(clearing, bidder).array(at: "positions").isEmpty
    }
    #expect(sawFrozen)
    let refused = try network.submit(
      network.bundle([TestNetwork.order(.buy, 55_000)], long), connection)
    #expect(refused.accepted.first?.leaf.outcomes.first?.status == .rejected)
    try network.settle(through: last)
    let path = network.folder + "/auction.nvb"
    _ = try network.export(through: last, to: path)
    #expect(try network.verify(path) == 0)
    #expect(try verify(path, "a1", network) == 0)
    #expect(try verify(path, "a2", network) == 3)
    try why(network)
    try network.stopAll()
  }

  /// `novate margin` says of an account what clearing says.
  private func ask(_ network: TestNetwork, of account: AccountID, _ known: JSONValue) throws {
    let (novate, file) = (TestNetwork.programs + "/novate", network.folder + "/asked.json")
    let line =
      "\(novate) account \(account) --margin --to \(network.address("clearing")) "
      + "--genesis \(network.folder)/genesis.json | \(novate) margin > \(file)"
    try #require(try Command.run("/bin/sh", ["-c", line]) == 0)
    let said = try JSONValue.parse(Files.read(file, byteCountMax: 1 << 20))
    for (mine, theirs) in [
      ("initial_requirement", "initial_margin"), ("maintenance_requirement", "maintenance_margin"),
    ] {
      let found: Int128 = try said.decimal(at: mine, digits: 12)
      let expected: Int128 = try known.decimal(at: theirs, digits: 12)
      #expect(found == expected && found > 0, "\(mine)")
    }
  }

  /// Why the auction began, from a file of its own; settlement finds it after kill -9 too.
  private func why(_ network: TestNetwork) throws {
    network.kill("settlement")
    try network.start("settlement")
    let path = network.folder + "/why.nvb"
    func prove(_ id: String) throws -> Int32 {
      try Command.run(
        TestNetwork.programs + "/novate",
        [
          "prove", "trade", id, "--settlement", network.address("settlement"),
          "--genesis", network.folder + "/genesis.json", "--out", path,
        ])
    }
    #expect(try prove("a2") != 0)
    #expect(try prove("a0") != 0)
    try #require(try prove("a1") == 0)
    #expect(try verify(path, "a1", network) == 0)
    #expect(try verify(path, "1", network) == 3)
    #expect(try verify(path, "a", network) == 2)
  }

  private func verify(_ path: String, _ id: String, _ network: TestNetwork) throws -> Int32 {
    try Command.run(
      TestNetwork.programs + "/novate",
      ["verify", path, "--genesis", "\(network.network)", "--trade", id, "--quiet"])
  }
}
