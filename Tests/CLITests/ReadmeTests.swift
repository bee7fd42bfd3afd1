import ArgumentParser
import Foundation
import Testing

@testable import CLI

@Suite("README") struct ReadmeTests {
  @Test("it names every command there is, and no other")
  func commands() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "README.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let table = try #require(text.range(of: "| to | commands |"))
    let rows = text[table.upperBound...].split(separator: "\n").prefix { $0.hasPrefix("|") }
    let named = rows.flatMap { $0.matches(of: /`([a-z]+)`/).map { String($0.output.1) } }
    let there = NovateCommand.configuration.subcommands.map { $0._commandName }
    #expect(Set(named) == Set(there) && named.count == there.count)
  }
}
