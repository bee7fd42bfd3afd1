import ArgumentParser
import Client
import Foundation
import Testing
import Wire

@testable import CLI

@Suite("A new network's constants") struct InitTests {
  private func constants(_ arguments: [String]) throws -> Constants {
    try DoctorTests.withFolder { folder in
      try InitCommand.parse(["\(folder)/net"] + arguments).run()
      return try NetworkFolder("\(folder)/net").genesis().constants
    }
  }

  @Test("are the house's, or what --set says")
  func house() throws {
    #expect(try constants([]) == .house)
    var other = Constants.house
    other.auctionFast = 0
    other.oracleQuorum = 3
    #expect(try constants(["--set", "auction_fast_ms=0", "--set", "oracle_quorum=3"]) == other)
  }

  @Test(
    "of no such name, without a number or out of range are refused and make nothing",
    arguments: ["auction_fast=0", "auction_fast_ms", "auction_fast_ms=", "auction_fast_ms=1.5"])
  func refused(text: String) {
    #expect(throws: (any Error).self) { try InitCommand.parse(["net", "--set", text]) }
  }

  @Test("that may not stand together are refused before a key is made")
  func together() throws {
    try DoctorTests.withFolder { folder in
      let command = try InitCommand.parse(["\(folder)/net", "--set", "heartbeat_ms=0"])
      #expect(throws: GenesisFailure.self) { try command.run() }
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/net/keys"))
    }
  }

  @Test("stand in the guide as they are")
  func guide() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Docs/Guides/Operating.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    var named: [String: Int64] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      let name = cells[0].trimmingCharacters(in: CharacterSet(charactersIn: "`"))
      guard Constants.fields.contains(where: { $0.name == name }) else { continue }
      named[name] = Int64(cells[1].filter { $0.isNumber })
    }
    let standard = Constants()
    for field in Constants.fields {
      let house = Constants.house[keyPath: field.path]
      let expected = house == standard[keyPath: field.path] ? nil : house
      #expect(named[field.name] == expected, "\(field.name)")
    }
  }
}
