import Foundation
import Primitives
import Testing

@testable import Risk

@Suite("Cascades") struct CascadeTests {
  /// Closes of BTC in 1e-8 from the recorded crash, which stands beside the project where it is
  /// developed; nil elsewhere.
  static func recorded() throws -> [Int64]? {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let file = root.deletingLastPathComponent()
      .appendingPathComponent("shared/data/binance_perp_3m_2025-04_crash.csv.gz")
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/gzip")
    process.arguments = ["-dc", file.path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = try #require(String(data: bytes, encoding: .utf8))
    return text.split(separator: "\n").dropFirst().compactMap { line in
      let field = line.split(separator: ",")[4].split(separator: ".")
      let whole = Int64(field[0]) ?? 0
      let tenths = field.count > 1 ? (Int64(field[1].prefix(1)) ?? 0) : 0
      return whole * 100_000_000 + tenths * 10_000_000
    }
  }

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

  static func multiplier(_ seed: UInt64, _ path: [Int64], _ rule: CascadeStudy.Rule) throws
    -> (millionths: Int64, outcome: CascadeStudy.Outcome)
  {
    var calm = CascadeStudy.Parameters()
    calm.impact = 0
    var still = try CascadeStudy(seed: seed, start: path[0], calm)
    var moved = try CascadeStudy(seed: seed, start: path[0], CascadeStudy.Parameters())
    // The volume that the outside move alone forces is the same yardstick for both.
    let base = try still.run(path, .market).forced
    let outcome = try moved.run(path, rule)
    return (base == 0 ? 1_000_000 : Int64(outcome.forced * 1_000_000 / base), outcome)
  }

  @Test("auctions cascade less than market orders, over 30 seeds, and conserve to the unit")
  func study() throws {
    let real = try Self.recorded()
    var (market, auction): ([Int64], [Int64]) = ([], [])
    for seed in 1...30 as ClosedRange<UInt64> {
      let path = real ?? Self.made(seed)
      let a = try Self.multiplier(seed, path, .market)
      let b = try Self.multiplier(seed, path, .auction)
      market.append(a.millionths)
      auction.append(b.millionths)
      #expect(a.outcome.imbalance == 0 && b.outcome.imbalance == 0, "seed \(seed)")
      #expect(a.outcome.liquidated > 0, "seed \(seed): the path forced nobody")
      #expect(
        Int128(b.millionths) * 100 <= Int128(a.millionths) * 105,
        "seed \(seed): auction \(b.millionths), market \(a.millionths)")
      let again = try Self.multiplier(seed, path, .auction)
      #expect(again.outcome == b.outcome, "seed \(seed): two runs differ")
    }
    let medians = (market.sorted()[15], auction.sorted()[15])
    print("cascade multiplier, millionths, median of 30: market \(medians.0), auction \(medians.1)")
    #expect(medians.1 < medians.0)
  }
}
