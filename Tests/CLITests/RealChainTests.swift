import Client
import Foundation
import Instruments
import Pricing
import Primitives
import Testing
import Wire

@testable import CLI

/// Recorded option chains stand beside the project where it is developed; nowhere else.
private enum Recorded {
  static let folder =
    Files.parent(of: Files.parent(of: Files.parent(of: Files.parent(of: #filePath))))
    + "/shared/data"
  static let calm = folder + "/deribit_option_chain_2026-01-04.csv"
  static let crash = folder + "/deribit_option_chain_2026-02_crash.csv.gz"
  static let isThere = Files.exists(calm) && Files.exists(crash)
}

@Suite("Recorded chains", .enabled(if: Recorded.isThere))
struct RealChainTests {
  /// |Black-76 - mark| in 1e-8 coin, of every row, sorted.
  private func errors(_ path: String) throws -> [Int64] {
    var errors: [Int64] = []
    for snapshot in try ChainFile(path: path).snapshots {
      for row in snapshot.rows {
        let price = Black76.price(
          row.isCall ? .call : .put, forward: row.future, strike: row.strike,
          volatility: row.markVolatility, time: row.expiry.raw - snapshot.time.raw)
        let coin = (Int128(price.raw) * 100_000_000)
          .divided(by: Int128(row.future.raw), rounding: .nearestEven)
        errors.append(abs(Int64(coin) - row.mark.raw))
      }
    }
    return errors.sorted()
  }

  /// The exchange's marks carry its own volatility to four digits, and its own smoothing: the bounds are
  /// those of the data, not of the arithmetic.
  @Test("mark volatility and the future give back the mark: a 365-day year, rates zero")
  func marks() throws {
    for (path, count) in [(Recorded.calm, 1_334), (Recorded.crash, 27_544)] {
      let errors = try errors(path)
      #expect(errors.count == count)
      let (median, most) = (errors[errors.count / 2], errors[errors.count * 99 / 100])
      print(
        "\(path.split(separator: "/").last ?? ""): \(errors.count) marks, error in 1e-8 coin:",
        "median \(median), 99 % \(most), worst \(errors[errors.count - 1])")
      #expect(median <= 1_500)
      #expect(most <= 120_000)
    }
  }

  @Test("smiles pass the quotes of every expiry that has five, and are free of arbitrage")
  func smiles() throws {
    var surface = SurfaceFit()
    let snapshots = try ChainFile(path: Recorded.calm).snapshots
    let lines = try snapshots.flatMap { surface.fit($0) }.map { try JSONValue.parse($0) }
    #expect(lines.count == 26 && !surface.hasRefused)
    var errors: [Int64] = []
    for line in lines {
      #expect(try line.bool(at: "arbitrage_free"))
      errors.append(try line.decimal(at: "rms_vol", digits: 6))
    }
    errors.sort()
    print("26 expiries, rms in 1e-6 of volatility: median \(errors[13]), worst \(errors[25])")
    // Half a volatility point.
    #expect(errors[13] < 5_000 && errors[25] < 30_000)
    #expect(surface.svg.components(separatedBy: "<polyline").count == 27)
  }

  @Test("through a crash nine in ten smiles lie within a volatility point")
  func crash() throws {
    var surface = SurfaceFit()
    var (errors, refused): ([Int64], Int) = ([], 0)
    for snapshot in try ChainFile(path: Recorded.crash).snapshots {
      for line in surface.fit(snapshot) {
        let value = try JSONValue.parse(line)
        if value["error"] == nil {
          errors.append(try value.decimal(at: "rms_vol", digits: 6))
        } else {
          refused += 1
        }
      }
    }
    errors.sort()
    print(
      "\(errors.count) fits, \(refused) refused, rms in 1e-6: median \(errors[errors.count / 2]),",
      "90 % \(errors[errors.count * 9 / 10]), worst \(errors[errors.count - 1])")
    #expect(errors.count >= 375 && refused <= 9)
    #expect(errors[errors.count * 9 / 10] < 10_000)
  }
}
