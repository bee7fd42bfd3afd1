public import Pricing

/// Raw SVI through the quotes of one expiry, in doubles; the result is integers, checked by the
/// engine's own arbitrage tests.
///
/// First the quasi-explicit method of De Marco and Martini (Zeliade white paper 0005, 2009): for given m
/// and σ the other three parameters are a linear least-squares problem, so that only two are searched
/// for. Where that admits arbitrage, all five are searched for again among the slices that do not.
public struct SmileFit: Sendable {
  /// Why there is no fit.
  public enum Failure: Error, Sendable {
    /// Fewer quotes than parameters.
    case tooFewQuotes(Int)
    /// The best slice found admits arbitrage.
    case refused(SurfaceSlice, SurfaceViolation)
  }

  public let slice: SurfaceSlice
  /// Root mean square of the volatility's distance from the middle, by the weights of the fit.
  public let error: Double
  /// Quotes whose bid and ask hold the slice's volatility between them.
  public let insideCount: Int
  public let quoteCount: Int

  /// - Parameters:
  ///   - quotes: of one expiry, at least five.
  ///   - years: to the expiry, above zero.
  ///   - earlier: the slice of the expiry before: total variance must not fall from it.
  /// - Throws: every `Failure`.
  public init(_ quotes: [SmileQuote], years: Double, after earlier: SurfaceSlice? = nil)
    throws(Failure)
  {
    guard quotes.count >= 5 else { throw .tooFewQuotes(quotes.count) }
    let problem = SmileProblem(quotes, years: years, earlier: earlier.map(RawSVI.init))
    let first = problem.quasiExplicit()
    var (slice, violation) = SmileFit.judged(first, after: earlier)
    if violation != nil {
      (slice, violation) = SmileFit.judged(problem.free(near: first), after: earlier)
    }
    guard let slice else { throw .tooFewQuotes(quotes.count) }
    if let violation { throw .refused(slice, violation) }
    self.slice = slice
    quoteCount = quotes.count
    let model = RawSVI(slice)
    error = problem.error(model)
    insideCount = quotes.count { quote in
      let volatility = (model.totalVariance(quote.logMoneyness) / years).squareRoot()
      return volatility >= quote.bid && volatility <= quote.ask
    }
  }

  /// As integers, by the engine's own tests.
  private static func judged(_ model: RawSVI, after earlier: SurfaceSlice?) -> (
    slice: SurfaceSlice?, violation: SurfaceViolation?
  ) {
    guard let slice = model.slice else { return (nil, nil) }
    return (slice, slice.violation() ?? earlier?.calendarViolation(before: slice))
  }
}

extension SmileFit.Failure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tooFewQuotes(let count): "expected at least 5 quotes on both sides, found \(count)"
    case .refused(_, let violation): "\(violation.reason.rawValue)"
    }
  }
}
