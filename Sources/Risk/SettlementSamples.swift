public import Primitives

/// The settlement price: samples of the index a minute apart, from 29 minutes before expiry to
/// expiry, each the median of a quorum within ±10 s, missing ones dropped and not carried (quant.md
/// 2). Once posted it never changes. The same samples are the fixed part of the forward near expiry.
public struct SettlementSamples: Hashable, Sendable {
  public static let count = 30
  public static let minute: Int64 = 60_000
  /// Milliseconds around a sample's time within which its words lie.
  public static let window: Int64 = 10_000
  /// Samples that must be present.
  public static let presentMin = 24
  /// Milliseconds a settlement may be put off.
  public static let deferralMax: Int64 = 86_400_000

  public let expiry: Timestamp
  /// By minute; zero while missing.
  public private(set) var samples = [Price](repeating: .zero, count: SettlementSamples.count)
  /// The settlement price, once it stands.
  public private(set) var posted: Price?

  public init(expiry: Timestamp) { self.expiry = expiry }

  /// When sample `place` is taken.
  public func time(of place: Int) -> Timestamp {
    precondition((0..<SettlementSamples.count).contains(place))
    let back = Int64(SettlementSamples.count - 1 - place)
    return Timestamp(raw: expiry.raw - back * SettlementSamples.minute)
  }

  /// Takes sample `place` from the words of its window, when its window is past: later words could
  /// otherwise change it. False, and no change, if it stands already, the window is open, signers do
  /// not increase or there is no quorum.
  ///
  /// - Parameter words: by strictly increasing signer, each publisher's word nearest the minute.
  public mutating func take(
    _ place: Int, of words: [OracleWord], quorum: Int, at now: Timestamp
  ) -> Bool {
    let due = time(of: place)
    guard posted == nil, samples[place] == .zero, now.raw > due.raw + SettlementSamples.window,
      zip(words, words.dropFirst()).allSatisfy({ $0.signer < $1.signer }),
      words.allSatisfy({ $0.price.raw > 0 })
    else { return false }
    let near = words.filter {
      (Int128($0.time.raw) - Int128(due.raw)).magnitude <= Int128(SettlementSamples.window)
    }
    guard near.count >= quorum else { return false }
    samples[place] = Price(raw: OraclePrice.median(near.map(\.price.raw)))
    return true
  }

  /// Samples that stand.
  public var present: Int { samples.count { $0.raw > 0 } }

  /// ⌊mean⌋ of the samples present; nil without any.
  public var mean: Price? {
    guard present > 0 else { return nil }
    let sum = samples.reduce(Int128(0)) { $0 + Int128($1.raw) }
    return Price(raw: Int64(sum / Int128(present)))
  }

  public enum Outcome: Hashable, Sendable {
    /// The last window is still open.
    case early
    case posted(Price)
    /// Too few samples: the instrument's own rule decides, at the latest then.
    case deferred(until: Timestamp)
  }

  /// Posts the price when the last window is past and enough samples stand. A posted price is the
  /// answer for ever after.
  public mutating func settle(at now: Timestamp) -> Outcome {
    if let posted { return .posted(posted) }
    guard now.raw > expiry.raw + SettlementSamples.window else { return .early }
    guard present >= SettlementSamples.presentMin, let mean else {
      return .deferred(until: Timestamp(raw: expiry.raw + SettlementSamples.deferralMax))
    }
    posted = mean
    return .posted(mean)
  }

  /// Posts what the instrument's rule gives when the deferral ends with too few samples; false, and
  /// no change, before then or when a price stands.
  public mutating func settle(byRule price: Price, at now: Timestamp) -> Bool {
    guard posted == nil, price.raw > 0, present < SettlementSamples.presentMin,
      now.raw >= expiry.raw + SettlementSamples.deferralMax
    else { return false }
    posted = price
    return true
  }

  /// The two parts of the forward within 30 minutes of expiry (field.md 2.1, item 2): the share of
  /// the settlement price that samples have fixed, rounded down, and the rest of the market's
  /// forward, which alone is shocked. Samples missing so far count as not yet taken.
  public func forward(_ market: Price) -> (fixed: Price, variable: Price) {
    let sum = samples.reduce(Int128(0)) { $0 + Int128($1.raw) }
    let open = Int128(SettlementSamples.count - present)
    return (
      Price(raw: Int64(sum / Int128(SettlementSamples.count))),
      Price(raw: Int64(Int128(market.raw) * open / Int128(SettlementSamples.count)))
    )
  }
}
