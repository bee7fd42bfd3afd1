import Foundation
import Pricing
import Primitives
import Testing

@Suite("Determinism")
struct DigestTests {
  /// FNV-1a over six results a row.
  private func digest(count: Int, seed: UInt64) -> UInt64 {
    var random = Random(seed: seed)
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func mix(_ value: Int64) {
      hash = (hash ^ UInt64(bitPattern: value)) &* 0x0000_0100_0000_01B3
      hash ^= hash >> 29
    }
    for _ in 0..<count {
      let forward = Price(raw: random.logarithmic(1...Int64.max))
      let strike = Price(raw: random.logarithmic(1...Int64.max))
      let volatility = Ratio(raw: random.logarithmic(1...1_000_000_000_000_000))
      let time = random.logarithmic(1...(10 * Timestamp.millisecondsPerYear))
      let greeks = Black76.greeks(
        random.word() & 1 == 0 ? .call : .put, forward: forward, strike: strike,
        volatility: volatility, time: time)
      mix(greeks.price.raw)
      mix(greeks.delta)
      mix(greeks.gamma)
      mix(greeks.vega.raw)
      mix(greeks.theta.raw)
      let slice = SurfaceSlice(
        a: random.next(0...1_000_000_000_000), b: random.next(0...1_000_000_000_000),
        rho: random.next(-999_999_999_999...999_999_999_999),
        m: random.next(-1_000_000_000_000...1_000_000_000_000),
        sigma: random.next(1_000_000...1_000_000_000_000))
      mix(slice.totalVariance(strike: strike, forward: forward).raw)
    }
    return hash
  }

  @Test("a million random results have the bits they always had, in debug as in release")
  func million() {
    #expect(digest(count: 170_000, seed: 76) == 92_552_009_904_313_454)
  }

  @Test("the tables are what their generator writes, where python3 and mpmath are installed")
  func tables() throws {
    let root = Reference.folder.deletingLastPathComponent()
    let script = root.appendingPathComponent("Tests/Generators/pricing_tables.py")
    func run(_ arguments: [String]) throws -> Int32 {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["python3"] + arguments
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      return process.terminationStatus
    }
    guard try run(["-c", "import mpmath"]) == 0 else { return }
    #expect(try run([script.path, "--check"]) == 0)
  }
}
