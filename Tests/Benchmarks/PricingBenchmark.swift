/// The pricing core against plain double arithmetic with the same outputs, in one run.
public enum PricingBenchmark {
  /// One thing measured both ways.
  public struct Figure: Sendable {
    /// What is counted: one price, one point, one account.
    public let name: String
    /// Least nanoseconds of one, ours and C double's.
    public let nanoseconds: Double
    public let doubleNanoseconds: Double
    /// Ours over double's: the median of rounds that measured one right after the other, so that a
    /// neighbour on the machine slows both.
    public let ratio: Double
    /// What the ratio must not pass.
    public let ratioMax: Double
  }

  /// - Parameters:
  ///   - rounds: paired measurements of each figure, about a fifth of a millisecond a side.
  ///   - seed: of the drawn options.
  public static func run(rounds: Int, seed: UInt64) -> [Figure] {
    let rows = PricingRow.random(count: 2_048, seed: seed)
    return PricingPair.all(rows).map { pair in
      var (ours, theirs) = (Double.infinity, Double.infinity)
      var ratios: [Double] = []
      for round in 0..<max(rounds, 1) {
        // In turn first and second: whoever comes second finds the rows in the cache.
        let first = measure(round % 2 == 0 ? pair.ours : pair.theirs)
        let second = measure(round % 2 == 0 ? pair.theirs : pair.ours)
        let (mine, other) = round % 2 == 0 ? (first, second) : (second, first)
        ours = min(ours, mine)
        theirs = min(theirs, other)
        ratios.append(mine / other)
      }
      let count = Double(pair.count)
      return Figure(
        name: pair.name, nanoseconds: ours / count, doubleNanoseconds: theirs / count,
        ratio: ratios.sorted()[ratios.count / 2], ratioMax: pair.ratioMax)
    }
  }

  private static func measure(_ body: () -> Double) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    let value = body()
    let parts = (clock.now - start).components
    // The value must be used, or there would be nothing to measure.
    precondition(value == value, "a benchmark's sum is a number")
    return Double(parts.seconds) * 1e9 + Double(parts.attoseconds) * 1e-9
  }
}
