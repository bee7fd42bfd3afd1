import Commitments
import Foundation
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@Suite("Genesis as JSON") struct GenesisJSONTests {
  static func key(_ seed: UInt8) throws -> PublicKey {
    try SigningKey(seed: Array(repeating: seed, count: 32)).publicKey
  }

  static func roleKeys(_ seed: UInt8) throws -> Genesis.RoleKeys {
    Genesis.RoleKeys(object: try key(seed), handshake: try key(seed + 1))
  }

  /// Small, with one of everything.
  static func sample() throws -> Genesis {
    let tiers = FeeTiers(
      count: 3, volume: try Money(decimal: "1000000.5"), makerStep: 60, takerStep: 40)
    func instrument(
      _ id: UInt32, _ name: String, _ tick: String, _ tiers: FeeTiers = .none
    ) throws -> Instrument {
      Instrument(
        id: InstrumentID(id), underlying: UnderlyingID(0), name: try InstrumentName(name),
        tick: try Price(decimal: tick), lot: try Quantity(decimal: "0.001"),
        orderQuantityMax: try Quantity(decimal: "1000"), priceMax: try Price(decimal: "10000000"),
        makerFee: try Ratio(decimal: "0.0001"), takerFee: try Ratio(decimal: "0.0003"),
        priceBand: try Ratio(decimal: "0.25"), tiers: tiers)
    }
    var constants = Constants()
    constants.auctionFast = 900_000
    return Genesis(
      name: "golden", startTime: Timestamp(raw: 1_767_225_600_000), execution: try roleKeys(1),
      clearing: try roleKeys(3), settlement: try roleKeys(5),
      settlementNote: Genesis.NoteKey(name: "golden.novate/log", key: try key(7)),
      witnesses: [Genesis.NoteKey(name: "golden.novate/witness-1", key: try key(8))],
      accounts: [try key(9), try key(10), try key(11)],
      assets: [
        Genesis.Asset(name: "USDC", scale: 6, custodian: AccountID(0)),
        Genesis.Asset(name: "BTC", scale: 8, custodian: AccountID(0)),
      ],
      underlyings: ["BTC"], publishers: [AccountID(1), AccountID(2)], governance: [AccountID(2)],
      governanceThreshold: 1,
      instruments: [
        try instrument(0, "BTC-PERP", "0.1", tiers), try instrument(1, "BTC-27MAR26", "0.5"),
        try instrument(2, "BTC-27MAR26-60000-C", "5"),
        try instrument(3, "BTC-27MAR26T1430-0d55-P", "5"),
      ], constants: constants, margin: TestWorld.collateral())
  }

  static let golden = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Wire/genesis.json")
  static let goldenHash = "17fb2463f0eace7dbf12c69b2a625ffb43a2d834161bbcd12e0059a05bb5bb23"

  static func goldenBytes() throws -> [UInt8] { Array(try Data(contentsOf: golden)) }

  @Test("the rendering and the hash of the golden manifest stand for ever")
  func goldenFile() throws {
    let genesis = try Self.sample()
    if ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1" {
      try genesis.json.write(to: Self.golden, atomically: true, encoding: .utf8)
    }
    let bytes = try Self.goldenBytes()
    #expect(String(decoding: bytes, as: UTF8.self) == genesis.json)
    #expect(try Genesis(json: bytes) == genesis)
    #expect(try Genesis(encoded: genesis.encoded.rawSpan) == genesis)
    #expect(try Genesis(json: bytes).networkID.description == Self.goldenHash)
  }

  @Test("a changed byte fails or changes the hash")
  func changedBytes() throws {
    let bytes = try Self.goldenBytes()
    let hash = try Genesis(json: bytes).networkID
    var accepted = 0
    for index in bytes.indices {
      let byte = bytes[index]
      for other in [byte ^ 1, [byte ^ 0x20, 0x20, 0x39][index % 3]] where other != byte {
        var changed = bytes
        changed[index] = other
        do throws(GenesisFailure) {
          let genesis = try Genesis(json: changed)
          accepted += 1
          if genesis.networkID == hash { Issue.record("byte \(index) as \(other) says the same") }
        } catch {
          continue
        }
      }
    }
    // Digits of numbers and letters of names may change, into another network.
    #expect(accepted > 100)
  }

  @Test("a byte left out or put in fails or changes the hash")
  func shiftedBytes() throws {
    let bytes = try Self.goldenBytes()
    let hash = try Genesis(json: bytes).networkID
    for index in stride(from: 0, to: bytes.count, by: 2) {
      var shorter = bytes
      shorter.remove(at: index)
      var longer = bytes
      longer.insert(bytes[index], at: index)
      for changed in [shorter, longer] {
        do throws(GenesisFailure) {
          if try Genesis(json: changed).networkID == hash { Issue.record("byte \(index)") }
        } catch {
          continue
        }
      }
    }
  }

  @Test("a draft may stand in any layout and order, and says the same")
  func draft() throws {
    let genesis = try Self.sample()
    guard case .object(let members) = try JSONValue.parse(genesis.json) else { return }
    let text = JSONValue.object(members.reversed()).text()
    #expect(try Genesis(draft: Array(text.utf8)) == genesis)
    #expect(
      throws: GenesisFailure.layout(line: 1, expected: "{", found: text)
    ) { try Genesis(json: Array(text.utf8)) }
  }

  /// The golden text with one piece replaced.
  static func edited(_ old: String, _ new: String) throws -> [UInt8] {
    let text = try sample().json
    let range = try #require(text.range(of: old))
    return Array(text.replacingCharacters(in: range, with: new).utf8)
  }

  struct Edit: Sendable {
    let old: String, new: String, message: String
    init(_ old: String, _ new: String, _ message: String) {
      self.old = old
      self.new = new
      self.message = message
    }
  }

  static let edits = [
    Edit("{\n", "{\n  \"x\": 1,\n", "genesis: found unknown key \"x\""),
    Edit("\"format\": 1", "\"format\": 2", "genesis: expected format 1, found 2"),
    Edit("\"format\": 1,\n", "", "genesis: expected key \"format\", found none"),
    Edit(
      "\"format\": 1,", "\"format\": 1,\"format\": 1,",
      "genesis: found key \"format\" twice, again at byte 16"),
    Edit(
      "\"format\": 1", "\"format\": \"1\"",
      "genesis format: \"value\": expected an integer, found a string"),
    Edit("  \"name\": \"golden\",\n", "", "genesis: expected key \"name\", found none"),
    Edit("\"golden\"", "\"gol den\"", "genesis: network name"),
    Edit(
      "\"golden\"", "\"\\u0067olden\"",
      "genesis line 3: expected \"  \"name\": \"golden\",\", "
        + "found \"  \"name\": \"\\u0067olden\",\""),
    Edit(
      "\"tick\": \"0.1\"", "\"tick\": \"0.10\"",
      "genesis instruments[0].tick: expected \"0.1\", found \"0.10\""),
    Edit(
      "\"tick\": \"0.1\"", "\"tick\": \"0.100000001\"",
      "genesis instruments[0].tick: expected \"0.1\", found \"0.100000001\""),
    Edit(
      "\"tick\": \"0.1\"", "\"tick\": 0.1",
      "genesis instruments[0]: \"tick\": expected a string, found a number"),
    Edit(
      "\"tick\": \"0.1\"", "\"tick\": \"x\"",
      "genesis instruments[0]: \"tick\": expected a decimal number, found a fault at byte 0"),
    Edit("\"tick\": \"0.1\"", "\"tick\": \"-0.1\"", "genesis: instrument"),
    Edit("\"BTC-PERP\"", "\"BTC-27MAR26\"", "genesis: an instrument stands twice"),
    Edit(
      "\"BTC-PERP\"", "\"ETH-PERP\"",
      "genesis instruments[0].name: expected one of the underlyings, found \"ETH\""),
    Edit(
      "\"BTC-PERP\"", "\"BTC\"",
      "genesis instruments[0].name: expected a name such as BTC-PERP, BTC-27MAR26 or BTC-13FEB26-60000-C, "
        + "found \"BTC\""),
    Edit(
      "0d55", "0.55",
      "genesis instruments[3].name: expected \"BTC-27MAR26T1430-0d55-P\", "
        + "found \"BTC-27MAR26T1430-0.55-P\""),
    Edit("\"maker_fee\"", "\"maker\"", "genesis instruments[0]: found unknown key \"maker\""),
    Edit(
      "\"heartbeat_ms\": 1000,\n", "",
      "genesis constants: expected key \"heartbeat_ms\", found none"),
    Edit(
      "\"heartbeat_ms\": 1000", "\"heartbeat_ms\": 1e3",
      "genesis constants.heartbeat_ms: \"value\": expected an integer, found \"1e3\""),
    Edit("\"heartbeat_ms\": 1000", "\"heartbeat_ms\": -1", "genesis: a constant is negative"),
    Edit(
      "\"constants\": {", "\"constants\": {\"more\": 1,",
      "genesis constants: found unknown key \"more\""),
    Edit("\"threshold\": 1", "\"threshold\": 2", "genesis: governance threshold"),
    Edit(
      "\"threshold\": 1", "\"threshold\": 70000",
      "genesis governance.threshold: \"value\": the number does not fit its unit"),
    Edit("\"scale\": 8", "\"scale\": 9", "genesis: assets (the first is the quote asset, scale 6)"),
    Edit("\"custodian\": 0", "\"custodian\": 3", "genesis: account of a role"),
  ]

  @Test("a fault is named with its place", arguments: edits)
  func faults(edit: Edit) throws {
    let bytes = try Self.edited(edit.old, edit.new)
    do throws(GenesisFailure) {
      _ = try Genesis(json: bytes)
      Issue.record("accepted \(edit.new)")
    } catch {
      #expect(error.description == edit.message)
    }
  }

  @Test("a key in capitals, cut short or not on the curve is refused")
  func keys() throws {
    let key = try Self.key(1).description
    for (text, message) in [
      (key.uppercased(), "expected 64 lower-case hexadecimal digits"),
      (String(key.dropLast()), "expected 64 lower-case hexadecimal digits"),
      (Digest.zero.description, "key encoding"),
      (try Self.key(2).description, "a key stands twice"),
    ] {
      do throws(GenesisFailure) {
        _ = try Genesis(draft: try Self.keyEdit(key, text))
        Issue.record("accepted \(text)")
      } catch {
        #expect(error.description.contains(message))
      }
    }
  }

  static func keyEdit(_ old: String, _ new: String) throws(GenesisFailure) -> [UInt8] {
    do {
      return try edited(old, new)
    } catch {
      throw .fault("\(error)")
    }
  }

  @Test("a list past its limit is refused")
  func limits() throws {
    var genesis = try Self.sample()
    genesis.witnesses = try (0...UInt8(Limits.witnessesMax)).map {
      Genesis.NoteKey(name: "w\($0)", key: try Self.key(100 + $0))
    }
    #expect(throws: GenesisFailure.fault("too many witnesses")) {
      try Genesis(json: Array(genesis.json.utf8))
    }
  }

  @Test("an instrument to which something has happened cannot be in genesis")
  func freshness() throws {
    var genesis = try Self.sample()
    genesis.instruments[0].statusCode = InstrumentStatus.halted.rawValue
    #expect(genesis.fault?.description == "instrument")
    genesis = try Self.sample()
    genesis.instruments[1].expiry = Timestamp(raw: genesis.instruments[1].expiry.raw + 1)
    // Such a contract has no name, and so no place in the JSON; the bytes may hold it.
    #expect(genesis.fault == nil)
  }

  @Test("instruments, underlyings and assets are found by name")
  func directory() throws {
    let genesis = try Self.sample()
    var directory = InstrumentDirectory(genesis)
    for instrument in genesis.instruments {
      let name = try #require(directory.name(of: instrument.id))
      #expect(genesis.instrumentName(instrument.id) == name)
      #expect(directory.id(of: name) == instrument.id)
      #expect(genesis.instrument(named: name) == instrument.id)
    }
    #expect(directory.name(of: InstrumentID(4)) == nil)
    #expect(directory.name(of: .all) == nil)
    #expect(try directory.id(of: InstrumentName("BTC-27MAR26-60000-P")) == nil)
    #expect(directory.underlying(named: "BTC") == UnderlyingID(0))
    #expect(directory.underlying(named: "btc") == nil)
    #expect(genesis.asset(named: "BTC") == AssetID(1))
    #expect(genesis.asset(named: "EUR") == nil)
    // Listed again: the name is the newest one's.
    var again = genesis.instruments[2]
    again.id = InstrumentID(4)
    directory.append(again)
    let name = try InstrumentName("BTC-27MAR26-60000-C")
    #expect(directory.id(of: name) == InstrumentID(4))
    #expect(directory.name(of: InstrumentID(2)) == name)
  }

  @Test("pretty text keeps empty lists closed and parses to the same value")
  func pretty() throws {
    let value: JSONValue = ["a": [], "b": [:], "c": ["x", [.number("1")]], "d": .null]
    let text = """
      {
        "a": [],
        "b": {},
        "c": [
          "x",
          [
            1
          ]
        ],
        "d": null
      }

      """
    #expect(value.prettyText() == text)
    #expect(try JSONValue.parse(text) == value)
  }
}
