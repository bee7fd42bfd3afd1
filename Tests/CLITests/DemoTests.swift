import Client
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("the demo's own parts") struct DemoPartsTests {
  private func folder(_ name: String) throws -> String {
    let path = "/tmp/novate-demo-parts-\(name)-\(getpid())"
    try Files.makeFolder(path)
    return path
  }

  @Test("only a demo's folder is ever cleared")
  func clearing() throws {
    let path = try folder("clear")
    defer { _ = try? Command.run("/bin/rm", ["-rf", path]) }
    // A real network, keys and all, is nobody's to remove.
    var builder = GenesisBuilder(startTime: Timestamp(raw: 1_770_000_000_000))
    _ = try NetworkFolder(path + "/real").make(builder)
    try Files.create(path + "/real/config.json", Array("{\"batch_interval_ms\":20}\n".utf8))
    #expect(throws: DemoFailure.self) { try DemoFolder.clear(path + "/real") }
    #expect(Files.exists(path + "/real/keys/custodian.key"))
    try Files.makeFolder(path + "/other")
    try Files.create(path + "/other/config.json", Array("{}\n".utf8))
    #expect(throws: DemoFailure.self) { try DemoFolder.clear(path + "/other") }
    // A demo, whole or interrupted before its genesis, is.
    builder.name = DemoFolder.networkName
    _ = try NetworkFolder(path + "/demo").make(builder)
    try DemoFolder.clear(path + "/demo")
    #expect(try Files.names(in: path + "/demo").isEmpty)
    try Files.create(path + "/demo/config.json", DemoFolder.config)
    try DemoFolder.clear(path + "/demo")
    #expect(try Files.names(in: path + "/demo").isEmpty)
  }

  @Test("figures read as people write them")
  func figures() {
    #expect(Figures.grouped(0) == "0" && Figures.grouped(999) == "999")
    #expect(Figures.grouped(1_000) == "1,000" && Figures.grouped(-1_234_567) == "-1,234,567")
    #expect(Figures.count(1, "fill") == "1 fill" && Figures.count(2_000, "fill") == "2,000 fills")
    #expect(Figures.price(Price(raw: 6_389_105_000_000)) == "63,891.05")
    #expect(Figures.words("insufficientMargin") == "insufficient margin")
    #expect(Figures.moment(Timestamp(raw: 1_770_179_043_263)) == "4 Feb 04:24")
  }

  @Test("the tape's ladders never cross, and levels lie behind each other")
  func ladders() throws {
    let tape = try CrashTape()
    for number in [0, 13, 28, tape.stepCount - 1] {
      let step = tape.step(number)
      var best: [InstrumentID: (bid: Price, ask: Price)] = [:]
      for quote in step.quotes {
        let ask = try #require(quote.ask)
        let bid = quote.bid ?? .zero
        #expect(bid < ask && quote.size > .zero)
        if let inside = best[quote.instrument] {
          #expect(bid <= inside.bid && ask >= inside.ask)
        }
        best[quote.instrument] = (bid, ask)
      }
      #expect(best.count >= 150)
    }
  }

  @Test("everybody in the cast has an account of their own")
  func cast() throws {
    let tape = try CrashTape()
    let traders = (7..<UInt32(7 + DemoCast.accountCount(tape))).map { AccountID($0) }
    let cast = DemoCast(tape: tape, traders: traders)
    let all =
      cast.makers + cast.takers + cast.longs.map(\.account)
      + [cast.writer, cast.whale.account, cast.hunter]
    #expect(all == traders)
    #expect(cast.perpetuals.count == 2)
    #expect(tape.listings[cast.whale.perpetual.index].name.description == "ETH-PERP")
  }
}
