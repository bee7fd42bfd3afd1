import Client
import Commitments
import Instruments
import Primitives
import Testing
import Wire

@Suite("Building genesis") struct GenesisBuilderTests {
  @Test("the defaults make the network that init promises")
  func defaults() throws {
    let genesis = try GenesisBuilder(startTime: Timestamp(raw: 5)).genesis(seed: 1)
    #expect(genesis.fault == nil)
    #expect(genesis.underlyings == ["BTC", "ETH"])
    #expect(genesis.assets == [Genesis.Asset(name: "USDC", scale: 6, custodian: AccountID(0))])
    #expect(genesis.publishers.map(\.raw) == [1, 2, 3])
    #expect(genesis.governance.map(\.raw) == [4, 5, 6])
    #expect(genesis.governanceThreshold == 2)
    #expect(genesis.constants.oracleQuorum == 2)
    #expect(genesis.accounts.count == 15)
    #expect(genesis.startTime.raw == 5)
    #expect(
      genesis.instruments.map { genesis.instrumentName($0.id)?.description } == [
        "BTC-PERP", "ETH-PERP",
      ])
    for instrument in genesis.instruments {
      #expect(instrument.tick.decimal == "0.1")
      #expect(instrument.lot.decimal == "0.001")
      #expect(instrument.makerFee.decimal == "0.0001")
      #expect(instrument.takerFee.decimal == "0.0003")
      #expect(instrument.priceMax * instrument.orderQuantityMax <= Instrument.orderNotionalMax)
    }
    #expect(try Genesis(json: Array(genesis.json.utf8)) == genesis)
  }

  @Test("a seed gives its keys, another seed others, and each role its own")
  func seeds() throws {
    let builder = GenesisBuilder(startTime: Timestamp(raw: 5))
    #expect(try builder.genesis(seed: 1) == builder.genesis(seed: 1))
    #expect(try builder.genesis(seed: 1).networkID != builder.genesis(seed: 2).networkID)
    #expect(Set(builder.roles.map { $0.key(seed: 1).publicKey }).count == builder.roles.count)
    let genesis = try builder.genesis(seed: 1)
    for trader in builder.traders {
      #expect(KeyRole.account(trader).key(seed: 1).publicKey == genesis.accounts[trader.index])
    }
    // For ever: seeds stand in recorded runs.
    #expect(
      KeyRole.account(AccountID(7)).key(seed: 1).publicKey.description
        == "430e18ee9da3422bbc982491dc7eab434b625da8a694df00e78a1ea882b8a4d1")
  }

  @Test("many accounts, other contracts and a start time")
  func variety() throws {
    var builder = GenesisBuilder(startTime: Timestamp(raw: 1_700_000_000_000))
    builder.accountCount = 1_000
    builder.witnessCount = 0
    builder.listings = []
    for strike in 1...50 {
      builder.list(Listing(try InstrumentName("SOL-27MAR26-\(strike)-C")))
    }
    let genesis = try builder.genesis(seed: 3)
    #expect(genesis.accounts.count == 1_007)
    #expect(genesis.instruments.count == 50)
    #expect(genesis.underlyings == ["BTC", "ETH", "SOL"])
    #expect(builder.traders.last?.raw == 1_006)
    #expect(try Genesis(json: Array(genesis.json.utf8)) == genesis)
  }

  @Test(
    "a name that cannot stand in note keys is refused",
    arguments: ["", "a b", "a+b", "a/b", String(repeating: "a", count: 25), "é"])
  func names(name: String) throws {
    var builder = GenesisBuilder(startTime: Timestamp(raw: 5))
    builder.name = name
    #expect(throws: GenesisFailure.self) { try builder.genesis(seed: 1) }
  }

  @Test("a contract twice, or on no underlying, is refused")
  func listings() throws {
    var builder = GenesisBuilder(startTime: Timestamp(raw: 5))
    builder.list(Listing(try InstrumentName("BTC-PERP")))
    #expect(throws: GenesisFailure.fault("an instrument stands twice")) {
      try builder.genesis(seed: 1)
    }
    builder.listings = [Listing(try InstrumentName("SOL-PERP"))]
    #expect(throws: GenesisFailure.underlying("SOL", at: "instruments[0].name")) {
      try builder.genesis(seed: 1)
    }
  }
}
