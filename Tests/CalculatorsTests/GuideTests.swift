import Calculators
import Foundation
import Testing

/// The guide shows what the calculators say: each command in it is run, its answer compared.
@Suite("The pricing guide")
struct GuideTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let line: String
    let tool: String
    let answer: String
    var testDescription: String { "\(tool) \(line.prefix(60))" }
  }

  /// Lines `echo '…' | novate TOOL` and the line under each.
  static let examples: [Example] = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appendingPathComponent("Docs/Guides/Pricing.md")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.indices.compactMap { index in
      guard let match = lines[index].wholeMatch(of: /echo '(.*)' \| novate (\w+)/),
        index + 1 < lines.count
      else { return nil }
      return Example(
        line: String(match.output.1), tool: String(match.output.2), answer: lines[index + 1])
    }
  }()

  @Test("every example prints what the guide says", arguments: examples)
  func example(_ example: Example) {
    let found =
      example.tool == "surface"
      ? SurfaceCalculator.respond(line: example.line).line
      : PriceCalculator.respond(line: example.line).line
    #expect(found == example.answer)
  }

  @Test("the guide has an example of every kind of answer")
  func coverage() {
    #expect(Self.examples.count >= 17)
    for word in [
      "european", "black76", "implied_vol", "digital", "gap", "barrier", "monitors", "touch",
      "power_perpetual", "normalisation", "everlasting", "realised_variance", "variance_strip",
      "strikes",
    ] {
      #expect(Self.examples.contains { $0.line.contains("\"\(word)\"") }, "\(word)")
    }
    #expect(Self.examples.contains { $0.answer.contains("\"error\"") })
    #expect(Self.examples.contains { $0.answer.contains("null") })
  }
}
