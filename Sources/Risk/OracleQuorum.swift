public import Primitives

/// One publisher's word about a feed.
public struct OracleWord: Hashable, Sendable {
  /// The signer's place among the registered publishers.
  public let signer: UInt32
  public let price: Price
  public let time: Timestamp

  public init(signer: UInt32, price: Price, time: Timestamp) {
    self.signer = signer
    self.price = price
    self.time = time
  }
}

/// What may be done on a price needs a verdict at least so good: the order is Drift's (field.md
/// 2.13), worst first.
public enum OracleVerdict: UInt8, Comparable, Sendable {
  /// Signers did not strictly increase, or a price was not positive.
  case malformed
  /// Fewer than a quorum of words inside the time window.
  case tooFew
  /// Further from the last price than the deviation band.
  case tooVolatile
  /// The quorum agrees too little.
  case tooUncertain
  case valid

  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The rule of one feed.
public struct FeedRule: Hashable, Sendable {
  /// Words needed.
  public var quorum: Int
  /// Milliseconds a word may be old, and ahead of batch time.
  public var heartbeat: Int64
  public var drift: Int64
  /// Relative move against the last price beyond which a price is too volatile.
  public var deviationMax: Ratio
  /// Relative dispersion at which confidence is nothing, positive.
  public var band: Ratio
  /// Confidence below which a price is too uncertain.
  public var confidenceMin: Ratio

  public init(
    quorum: Int, heartbeat: Int64, drift: Int64, deviationMax: Ratio, band: Ratio,
    confidenceMin: Ratio
  ) {
    precondition(quorum > 0 && band.raw > 0 && heartbeat >= 0 && drift >= 0)
    self.quorum = quorum
    self.heartbeat = heartbeat
    self.drift = drift
    self.deviationMax = deviationMax
    self.band = band
    self.confidenceMin = confidenceMin
  }

  /// Liars that can neither move a price out of the honest range nor, by silence, stop it, when
  /// honest publishers speak in time: fewer than half of all, and no more than leave a quorum.
  public func liarsMax(of publishers: Int) -> Int {
    min((publishers - 1) / 2, publishers - quorum)
  }

  /// Liars that cannot move a price whoever else is silent: fewer than half of the quorum.
  public var liarsMaxInSilence: Int { (quorum - 1) / 2 }

  func isInWindow(_ word: Timestamp, at time: Timestamp) -> Bool {
    let age = Int128(time.raw) - Int128(word.raw)
    return age <= Int128(heartbeat) && age >= 0 - Int128(drift)
  }
}

/// The price that a set of words makes.
public struct OraclePrice: Hashable, Sendable {
  public let verdict: OracleVerdict
  /// Lower median of the words inside the window; zero without a quorum.
  public let price: Price
  /// The quorum's time: so many publishers stand behind something at least this new.
  public let time: Timestamp
  /// 1 − min(1, median absolute deviation of the quorum ÷ (band × price)), rounded down.
  public let confidence: Ratio

  private init(
    _ verdict: OracleVerdict, price: Price = .zero, time: Timestamp = .zero,
    confidence: Ratio = .zero
  ) {
    self.verdict = verdict
    self.price = price
    self.time = time
    self.confidence = confidence
  }

  /// Decides a feed.
  ///
  /// - Parameters:
  ///   - words: by strictly increasing signer: nobody speaks twice.
  ///   - last: the price in force; nil at the start and after an outage, when nothing can be
  ///     compared with.
  public init(of words: [OracleWord], _ rule: FeedRule, at time: Timestamp, last: Price?) {
    guard zip(words, words.dropFirst()).allSatisfy({ $0.signer < $1.signer }),
      words.allSatisfy({ $0.price.raw > 0 })
    else {
      self.init(.malformed)
      return
    }
    let fresh = words.filter { rule.isInWindow($0.time, at: time) }
    guard fresh.count >= rule.quorum else {
      self.init(.tooFew)
      return
    }
    let price = OraclePrice.median(fresh.map(\.price.raw))
    let confidence = OraclePrice.confidence(fresh.map(\.price.raw), around: price, rule)
    var verdict = confidence < rule.confidenceMin ? OracleVerdict.tooUncertain : .valid
    if let last, last.raw > 0, OraclePrice.isBeyond(price, last.raw, rule.deviationMax) {
      verdict = .tooVolatile
    }
    self.init(
      verdict, price: Price(raw: price),
      time: fresh.map(\.time).sorted(by: >)[rule.quorum - 1], confidence: confidence)
  }

  /// The lower median.
  public static func median(_ values: [Int64]) -> Int64 { values.sorted()[(values.count - 1) / 2] }

  /// Dispersion of the quorum nearest to the median: extremes outside it are ignored.
  private static func confidence(_ prices: [Int64], around price: Int64, _ rule: FeedRule)
    -> Ratio
  {
    // Prices are positive, so differences fit.
    let gaps = prices.map { Int64(($0 - price).magnitude) }.sorted().prefix(rule.quorum)
    // The upper median: of two words the gap between them.
    let deviation = Int128(gaps[gaps.count / 2])
    let scale = Int128(Ratio.scale)
    // deviation ÷ (price × band), in 1e-9: deviation ≤ 2^63 × 1e18 < 2^123.
    let share = (deviation * scale * scale)
      .divided(by: Int128(price) * Int128(rule.band.raw), rounding: .up)
    return Ratio(raw: Int64(scale - min(scale, share)))
  }

  private static func isBeyond(_ price: Int64, _ last: Int64, _ deviation: Ratio) -> Bool {
    let gap = Int128((price - last).magnitude) * Int128(Ratio.scale)
    return gap > Int128(last) * Int128(deviation.raw)
  }
}

/// Whether a doubtful price holds liquidation back (field.md 5): for at most so many batches, and
/// only while a move of the band against the account would not ruin it.
public struct HoldBack: Hashable, Sendable {
  /// Batches of doubt gone by.
  public private(set) var batches: Int = 0

  public init() {}

  /// Once a batch and feed, before accounts are looked at.
  public mutating func note(_ confidence: Ratio, threshold: Ratio) {
    batches = confidence < threshold ? batches + 1 : 0
  }

  /// MM > −band × gross delta, and no more than `batchesMax` batches of doubt. While it holds the
  /// account may only reduce, and withdraws nothing.
  public func holds(net: Money, grossDelta: Money, band: Ratio, batchesMax: Int)
    throws(ArithmeticFailure) -> Bool
  {
    guard batches > 0, batches <= batchesMax else { return false }
    let room = try grossDelta.share(band, rounding: .down)
    return net.raw > 0 - room.raw
  }
}

/// No liquidation after an outage until a fresh quorum stands: words from before the gap do not
/// count, however young batch time makes them look.
public struct OutageGate: Hashable, Sendable {
  /// Words must be at least this new.
  public private(set) var since: Timestamp = .zero
  private var last: Timestamp?

  public init() {}

  /// Notes the time of a batch; a step of more than `gapMax` milliseconds is an outage.
  public mutating func note(_ time: Timestamp, gapMax: Int64) {
    if let last, Int128(time.raw) - Int128(last.raw) > Int128(gapMax) { since = time }
    last = time
  }

  /// Whether a price may liquidate: its quorum spoke after the outage.
  public func isOpen(for quorumTime: Timestamp) -> Bool { quorumTime >= since }
}
