import Instruments
import Margin
import Pricing
import Primitives
import Risk
import Wire

extension ClearingMachine {
  /// Takes a publisher's word and recomputes the feed's quorum.
  ///
  /// A word counts if its sequence rises and its time lies within the staleness limit before batch
  /// time and the drift limit past it. A minority can neither move nor freeze a feed: the price is
  /// the median of the fresh words, and a feed speaks as soon as a quorum is fresh.
  mutating func submit(_ submission: SubmissionRecord, by account: AccountID) {
    var receipt = Receipt(.oracle)
    receipt.buyer = account
    receipt.id = submission.sequence
    receipt.instrument =
      submission.perpetual ?? InstrumentID(UInt32(submission.underlying.raw))
    receipt.price = submission.price
    defer { receipts.write(record: receipt) }
    guard isInWindow(submission.time) else {
      receipt.code = ReceiptCode.timeOutOfRange.rawValue
      return
    }
    let slot = (0..<submissions.count).first {
      submissions[$0].publisher == submission.publisher
        && submissions[$0].isSameFeed(as: submission)
    }
    if let slot {
      guard submission.sequence > submissions[slot].sequence else {
        receipt.code = ReceiptCode.sequenceNotRising.rawValue
        return
      }
      submissions[slot] = submission
    } else {
      guard submission.kind != SubmissionRecord.surface || isListed(submission) else {
        receipt.code = ReceiptCode.surfaceRefused.rawValue
        return
      }
      submissions.append(submission)
    }
    if submission.kind == SubmissionRecord.index { gather(submission) }
    decide(submission)
  }

  @inline(__always)
  private func isInWindow(_ word: Timestamp) -> Bool {
    word.raw <= time.raw + genesis.constants.driftMax
      && word.raw >= time.raw - genesis.constants.oracleStaleness
  }

  /// Whether some instrument lives on the surface: no room is kept for others.
  private func isListed(_ submission: SubmissionRecord) -> Bool {
    (0..<instruments.count).contains {
      instruments[$0].underlying == submission.underlying
        && instruments[$0].expiry == submission.expiry
    }
  }

  private mutating func decide(_ feed: SubmissionRecord) {
    var fresh: [SubmissionRecord] = []
    for slot in 0..<submissions.count
    where submissions[slot].isSameFeed(as: feed) && isInWindow(submissions[slot].time) {
      fresh.append(submissions[slot])
    }
    let quorum = Int(genesis.constants.oracleQuorum)
    guard fresh.count >= quorum else { return }
    // The quorum's time: so many publishers stand behind something at least this new.
    let time = fresh.map(\.time).sorted(by: >)[quorum - 1]
    let price = fresh.map(\.price).sorted()[(fresh.count - 1) / 2]
    if let perpetual = feed.perpetual {
      setImpact(of: perpetual, price, time)
    } else if feed.kind == SubmissionRecord.index {
      judge(feed.underlying, fresh)
    } else {
      set(
        SliceEntry(
          underlying: feed.underlying, expiry: feed.expiry, forward: price,
          parameters: SurfaceMedoid.choice(of: fresh).parameters, time: time))
    }
  }

  /// Sets an index to what its fresh words make, unless that is a jump: then the price before stands
  /// until it is no longer fresh or the words come back. No minority makes a jump, and none outlasts
  /// `drift_max`.
  private mutating func judge(_ underlying: UnderlyingID, _ fresh: [SubmissionRecord]) {
    let constants = genesis.constants
    let rule = FeedRule(
      quorum: Int(constants.oracleQuorum), heartbeat: constants.oracleStaleness,
      drift: constants.driftMax,
      deviationMax: Ratio(raw: constants.oracleDeviationMax),
      band: Ratio(raw: max(1, constants.confidenceBand)), confidenceMin: .zero)
    let words = fresh.sorted { $0.publisher < $1.publisher }.map {
      OracleWord(signer: $0.publisher, price: $0.price, time: $0.time)
    }
    let isBound = constants.oracleDeviationMax > 0 && isFresh(underlying)
    let found = OraclePrice(
      of: words, rule, at: time, last: isBound ? indices[underlying.index].price : nil)
    guard found.verdict >= .tooUncertain else { return }
    let slot = underlying.index
    guard found.time >= indices[slot].time else { return }
    var doubt = Ratio.zero
    if constants.confidenceBand > 0 {
      doubt = Ratio(raw: Ratio.scale - found.confidence.raw)
      if minutes[slot].doubt != doubt { minutes[slot].doubt = doubt }
    }
    let entry = IndexEntry(
      underlying: underlying, price: found.price, time: found.time, doubt: doubt)
    guard entry != indices[slot] else { return }
    indices[slot] = entry
    touched.indices.append(slot)
  }

  private mutating func set(_ entry: SliceEntry) {
    let known = (0..<slices.count).first {
      slices[$0].underlying == entry.underlying && slices[$0].expiry == entry.expiry
    }
    guard let slot = known else {
      touched.slices.append(slices.append(entry))
      return
    }
    guard entry.time >= slices[slot].time, entry != slices[slot] else { return }
    slices[slot] = entry
    touched.slices.append(slot)
  }

  /// Whether an underlying's index is new enough for decisions that cannot be taken back.
  @inline(__always)
  func isFresh(_ underlying: UnderlyingID) -> Bool {
    let entry = indices[underlying.index]
    return entry.price.raw > 0 && time.raw - entry.time.raw <= genesis.constants.driftMax
  }
}

extension SubmissionRecord {
  /// The perpetual of an impact price.
  var perpetual: InstrumentID? {
    kind == SubmissionRecord.impact ? InstrumentID(UInt32(truncatingIfNeeded: expiry.raw)) : nil
  }

  func isSameFeed(as other: SubmissionRecord) -> Bool {
    underlying == other.underlying && kind == other.kind && expiry == other.expiry
  }
}

/// The aggregation of surfaces: a median per parameter is no surface, so one publisher's whole set
/// is chosen, the one whose total variance at nine pinned log-moneynesses is closest (L1) to the
/// component-wise median, each publisher at its own forward; ties go to the lowest publisher.
enum SurfaceMedoid {
  /// k = −1 … 1 in steps of a quarter, Q57.
  static let pins: [Int64] = (-4...4).map { Int64($0) << 55 }

  static func choice(of submissions: [SubmissionRecord]) -> SubmissionRecord {
    precondition(!submissions.isEmpty)
    let variances = submissions.map { submission in
      pins.map { submission.surface.totalVariance(logMoneyness: $0).raw }
    }
    let median = pins.indices.map { pin in
      variances.map { $0[pin] }.sorted()[(submissions.count - 1) / 2]
    }
    let distances = variances.map { row in
      zip(row, median).reduce(Int128(0)) { total, pair in
        let gap = Int128(pair.0) - Int128(pair.1)
        return total + (gap < 0 ? -gap : gap)
      }
    }
    var best = 0
    for place in submissions.indices.dropFirst() {
      let isCloser =
        distances[place] != distances[best]
        ? distances[place] < distances[best]
        : submissions[place].publisher < submissions[best].publisher
      if isCloser { best = place }
    }
    return submissions[best]
  }
}

extension SubmissionRecord {
  var surface: SurfaceSlice {
    SurfaceSlice(
      a: parameters.a, b: parameters.b, rho: parameters.rho, m: parameters.m,
      sigma: parameters.sigma)
  }
}
