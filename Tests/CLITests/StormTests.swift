import Client
import Primitives
import Testing

@testable import CLI

/// Crashes on the real machines in one process. `novate bench cascade` plays more of it.
@Suite("Storms") struct StormTests {
  private static let crash = StormPath.shocks.first { $0.name == "2025-10-10" }

  @Test("auctions force less than market orders, conserve to the unit and need no fund")
  func cascade() throws {
    let parameters = StormParameters()
    let path = StormPath(try #require(Self.crash), parameters)
    var report = CascadeReport(path: path)
    for seed in 1...3 as ClosedRange<UInt64> {
      report.seeds.append(try CascadeSeed(path, seed: seed, parameters))
    }
    #expect(report.holds && report.isConserved)
    for seed in report.seeds {
      #expect(seed.market.still.forced > 0 && seed.market.still.closes > 0, "seed \(seed.seed)")
      #expect(seed.auction.moved.auctions > 0 && seed.auction.moved.bidsFilled > 0)
      #expect(seed.auction.moved.transferred > 0, "seed \(seed.seed)")
      // Impact is real: forced sales push the index below the path.
      #expect(seed.market.moved.lowest < seed.market.still.lowest)
      #expect(seed.auction.moved.badDebt == 0, "seed \(seed.seed)")
    }
  }

  @Test("a seed is a run: the same outcome and roots again, others for another seed")
  func determinism() throws {
    let path = StormPath(step: -100_000, StormParameters(), calm: 20)
    for method in StormMethod.allCases {
      let once = try StormRun(path: path, seed: 9, method: method).played()
      let again = try StormRun(path: path, seed: 9, method: method).played()
      let other = try StormRun(path: path, seed: 10, method: method).played()
      #expect(once == again && once.clearingRoot != other.clearingRoot)
      #expect(once.executionRoot != other.executionRoot && once.imbalance == 0)
    }
  }

  @Test(
    "a single step within 0.8 of the scan range leaves no debt and uses no fund",
    arguments: [-128_000, -90_000, 60_000, 128_000] as [Int64])
  func steps(move: Int64) throws {
    let row = try StepRow(move, seeds: 1..<4, StormParameters())
    #expect(row.holds && row.isConserved)
    #expect(row.restricted > 0, "the step forced nobody")
    // With impact the price goes on falling; auctions then use the fund, and owe nothing after it.
    #expect(row.movedAuction.debt == 0)
  }

  @Test("far beyond the scan range somebody falls short: the measure sees it")
  func beyond() throws {
    let row = try StepRow(-300_000, seeds: 1..<3, StormParameters())
    #expect(row.market.fund > 0 && row.auction.fund > 0 && row.market.debt > 0)
    #expect(row.isConserved && row.holds)
  }

  @Test(
    "the recorded crashes are paths", .enabled(if: RecordedCrash.areThere, "no recorded crash here")
  )
  func files() throws {
    let parameters = StormParameters()
    let chain = try StormPath(file: RecordedCrash.chain, parameters)
    #expect(chain.points.count == 15 * StormPath.stepsOfGap + 1)
    let bars = try StormPath(file: RecordedCrash.bars, parameters)
    #expect(bars.points.count == (5_908 + StormPath.rowsOfStep - 1) / StormPath.rowsOfStep)
    for path in [chain, bars] {
      let first = path.points[0].price
      let low = try #require(path.points.map(\.price).min())
      #expect(low < first / 100 * 92 && path.points.allSatisfy { $0.volatility > 0 })
    }
    // A short piece of the chain through the machines.
    let fall = StormPath(chain, first: 4 * StormPath.stepsOfGap, count: 80)
    let outcome = try StormRun(path: fall, seed: 2, method: .auction).played()
    #expect(outcome.imbalance == 0 && outcome.badDebt == 0 && outcome.auctions > 0)
  }
}

/// Beside the project where it is developed.
private enum RecordedCrash {
  static let folder =
    Files.parent(of: Files.parent(of: Files.parent(of: Files.parent(of: #filePath))))
    + "/shared/data/"
  static let chain = folder + "deribit_option_chain_2026-02_crash.csv.gz"
  static let bars = folder + "binance_perp_3m_2025-04_crash.csv.gz"
  static let areThere = Files.exists(chain) && Files.exists(bars)
}
