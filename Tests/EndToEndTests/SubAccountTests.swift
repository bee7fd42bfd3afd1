import Client
import Commitments
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("further accounts through three processes", .serialized)
struct SubAccountTests {
  private static func pay(_ dollars: Int64, _ account: AccountID) -> Action {
    .transfer(asset: .quote, amount: Amount(raw: dollars * Money.scale), to: account)
  }

  @Test(
    "one is opened, paid, trades, pays back and is withdrawn from; kill -9 in between, and replay")
  func life() throws {
    let network = try TestNetwork("accounts")
    try network.startAll()
    let connection = try network.connect("execution")
    let clearing = try network.connect("clearing")
    try network.fund(connection)
    let (main, other) = (network.builder.traders[0], network.builder.traders[1])
    func send(_ action: Action, _ account: AccountID, owner: AccountID? = nil) throws -> Outcome {
      let answer = try network.submit(
        network.bundle([action], account, owner: owner), connection)
      return try #require(answer.accepted.first?.leaf.outcomes.first)
    }
    func cash(_ account: AccountID) throws -> String {
      try DemoQuery.account(clearing, account).string(at: "cash")
    }
    #expect(try send(.open(.isolated), main).status == .accepted)
    var numbers: [UInt32] = []
    try network.wait("an account") {
      numbers = try DemoQuery.account(clearing, main).array(at: "accounts").map {
        try $0.asInteger()
      }
      return numbers.count == 2
    }
    let account = AccountID(try #require(numbers.last))
    #expect(numbers[0] == main.raw && account.index == network.genesis.accounts.count)
    #expect(try DemoQuery.account(clearing, account).string(at: "mode") == "isolated")

    // By the tool, as an owner would.
    let file = network.folder + "/transfer.jsonl"
    let line =
      #"{"id":"1","account":"\#(main.raw)","action":"transfer","asset":"USDC","amount":"5000","to":"\#(account.raw)"}"#
    try Files.create(file, Array((line + "\n").utf8))
    let status = try Command.run(
      TestNetwork.programs + "/novate",
      [
        "submit", file, "--to", network.address("execution"), "--genesis",
        network.folder + "/genesis.json",
      ])
    #expect(status == 0)
    try network.wait("the transfer") { try cash(account) == "5000" }
    #expect(try cash(main) == "9995000")

    // It trades for itself, in one contract, and keeps what it must.
    #expect(try send(TestNetwork.order(.sell, 60_000), other).status == .accepted)
    try network.wait("the account in execution") {
      try send(TestNetwork.order(.buy, 60_000, .ioc), account, owner: main).status == .filled
    }
    let second = Action.place(
      instrument: InstrumentID(1), side: .buy, price: Price(raw: 1_900 * Price.scale),
      quantity: Quantity(raw: Quantity.scale / 10), timeInForce: .gtc, postOnly: false,
      reduceOnly: false, clientID: 0)
    #expect(try send(second, account, owner: main) == .rejected(.tooManyPositions, 1, 1))
    // A main account stands in as many as the network allows.
    #expect(try send(second, other).status == .accepted)
    network.kill("clearing")
    try network.start("clearing")
    let again = try network.connect("clearing")
    try network.wait("a position") {
      try !DemoQuery.account(again, account).array(at: "positions").isEmpty
    }
    let short = try send(Self.pay(4_900, main), account, owner: main)
    #expect(short.code == OutcomeCode.insufficientMargin.rawValue)
    #expect(try send(TestNetwork.order(.buy, 60_000), other).status == .accepted)
    try network.wait("it is closed") {
      try send(TestNetwork.order(.sell, 60_000, .ioc), account, owner: main).status == .filled
    }
    try network.wait("no position") {
      try DemoQuery.account(again, account).array(at: "positions").isEmpty
    }
    #expect(try send(Self.pay(4_000, main), account, owner: main).status == .accepted)
    let all = Action.withdraw(
      asset: .quote, amount: Amount(raw: 900 * Money.scale), destination: network.network)
    let answer = try network.submit(network.bundle([all], account, owner: main), connection)
    let leaf = try #require(answer.accepted.first).leaf
    #expect(leaf.outcomes.first?.status == .accepted)
    try network.settle(through: leaf.batch)
    let path = network.folder + "/accounts.nvb"
    _ = try network.export(through: leaf.batch, to: path)
    #expect(try network.verify(path) == 0)
    try network.stopAll()
  }
}
