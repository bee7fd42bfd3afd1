import Foundation
import Primitives
import Testing

@testable import Risk

/// Closes of BTC every three minutes of the recorded crash of April 2025, which stand beside the
/// project where it is developed.
private enum Recorded {
  static let file = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
    .appendingPathComponent("shared/data/binance_perp_3m_2025-04_crash.csv.gz")
  static let isThere = FileManager.default.fileExists(atPath: file.path)

  /// Closes in 1e-8.
  static func closes() throws -> [Int64] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/gzip")
    process.arguments = ["-dc", file.path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = try #require(String(data: bytes, encoding: .utf8))
    return try text.split(separator: "\n").dropFirst().map { line in
      let field = line.split(separator: ",")[4].split(separator: ".")
      let tenths = field.count > 1 ? try #require(Int64(field[1])) : 0
      return try #require(Int64(field[0])) * 100_000_000 + tenths * 10_000_000
    }
  }
}

/// A finding to keep in mind: the margin of auctions is their discount, a loss to the account, so
/// they win where forced sales are large for the book. With a daily volume of 1 to 4 times open
/// interest (that of the largest perpetual is about once) market orders let the made fall run away
/// in bad debt; at 10 times they hardly move the price (1.07) and auctions force 7 % more (1.15).
@Suite("Cascades") struct CascadeTests {
  /// A fall of a fifth in 200 steps and a partial recovery, with noise of its seed.
  static func made(_ seed: UInt64) -> [Int64] {
    var generator = Generator(seed: seed &+ 1_000)
    var path: [Int64] = [5_000_000_000_000]
    for step in 0..<500 {
      let drift: Int64 = step < 200 ? -1_100 : 250
      let move = drift + generator.within(-3_000...3_000)
      path.append(Int64(Int128(path[step]) * Int128(1_000_000 + move) / 1_000_000))
    }
    return path
  }

  struct Play {
    /// Forced volume over what the outside move alone forces of market orders, millionths.
    var multiplier: Int64
    var outcome: CascadeStudy.Outcome
  }

  static func play(_ seed: UInt64, _ path: [Int64], _ rule: CascadeStudy.Rule) throws -> Play {
    let parameters = CascadeStudy.Parameters()
    var calm = parameters
    calm.book.lasting = 0
    var still = try CascadeStudy(seed: seed, start: path[0], calm)
    var moved = try CascadeStudy(seed: seed, start: path[0], parameters)
    // The volume that the outside move alone forces is the same yardstick for both.
    let base = try still.run(path, .market).forced
    let outcome = try moved.run(path, rule)
    return Play(
      multiplier: base == 0 ? 1_000_000 : Int64(outcome.forced * 1_000_000 / base),
      outcome: outcome)
  }

  /// Plays both rules over 30 seeds, prints the medians and compares.
  static func compare(_ name: String, _ path: (UInt64) -> [Int64]) throws {
    var (market, auction): ([Int64], [Int64]) = ([], [])
    var debts: (Int64, Int64) = (0, 0)
    for seed in 1...30 as ClosedRange<UInt64> {
      let path = path(seed)
      let a = try play(seed, path, .market)
      let b = try play(seed, path, .auction)
      market.append(a.multiplier)
      auction.append(b.multiplier)
      debts = (debts.0 + a.outcome.badDebt, debts.1 + b.outcome.badDebt)
      #expect(a.outcome.imbalance == 0 && b.outcome.imbalance == 0, "seed \(seed)")
      #expect(a.outcome.liquidated > 0, "seed \(seed): the path forced nobody")
      #expect(
        Int128(b.multiplier) * 100 <= Int128(a.multiplier) * 105,
        "seed \(seed): auction \(b.multiplier), market \(a.multiplier)")
    }
    let medians = (market.sorted()[15], auction.sorted()[15])
    print(
      "cascade multiplier of \(name), millionths, median of 30: market \(medians.0), auction",
      "\(medians.1); bad debt in all, 1e-6 quote: market \(debts.0), auction \(debts.1)")
    #expect(medians.1 < medians.0)
  }

  @Test("auctions cascade less than market orders, over 30 seeds, and conserve to the unit")
  func made() throws {
    try Self.compare("a made fall") { Self.made($0) }
  }

  @Test("the same on the bars of April 2025", .enabled(if: Recorded.isThere))
  func recorded() throws {
    let path = try Recorded.closes()
    #expect(path.count == 5_908)
    try Self.compare("April 2025") { _ in path }
  }

  @Test("a seed is a run", arguments: [3, 17] as [UInt64])
  func determinism(seed: UInt64) throws {
    let path = Self.made(seed)
    let once = try Self.play(seed, path, .auction)
    let again = try Self.play(seed, path, .auction)
    let other = try Self.play(seed + 1, path, .auction)
    #expect(once.outcome == again.outcome && once.outcome != other.outcome)
  }
}
