import Instruments
import Primitives
import Risk
import Wire

// The index by the minute: what settlement prices are made of (quant.md 2). Missing minutes are
// dropped, not carried.

extension ClearingMachine {
  private static let minute = SettlementSamples.minute
  private static let window = SettlementSamples.window

  /// Keeps a publisher's word of an index if it is his nearest to a minute that is still open. Equal
  /// distances leave the earlier.
  mutating func gather(_ word: SubmissionRecord) {
    let minute = (word.time.raw + ClearingMachine.minute / 2) / ClearingMachine.minute
    let distance = (word.time.raw - minute * ClearingMachine.minute).magnitude
    let slot = word.underlying.index
    guard distance <= ClearingMachine.window.magnitude, minute > minutes[slot].sampled,
      minute >= minutes[slot].gathering
    else { return }
    if minute > minutes[slot].gathering {
      if minutes[slot].gathering != 0 { decideMinute(slot) }
      minutes[slot].gathering = minute
    }
    let publisher = Int(word.publisher)
    let known = minutes[slot].times[publisher].raw - minute * ClearingMachine.minute
    guard minutes[slot].prices[publisher].raw == 0 || distance < known.magnitude else { return }
    minutes[slot].prices[publisher] = word.price
    minutes[slot].times[publisher] = word.time
  }

  /// Decides the minutes whose windows are past, before the batch's words are heard: later ones
  /// could otherwise choose the sample.
  mutating func closeMinutes() {
    for slot in 0..<minutes.count where minutes[slot].gathering != 0 {
      let end = minutes[slot].gathering * ClearingMachine.minute + ClearingMachine.window
      if time.raw > end { decideMinute(slot) }
    }
  }

  /// The sample is the median of a quorum; without one the minute has none.
  private mutating func decideMinute(_ slot: Int) {
    var record = minutes[slot]
    let count = Int64(MinuteRecord.sampleCount)
    for passed in max(record.sampled, record.gathering - count) + 1...record.gathering {
      record.samples[Int(passed % count)] = .zero
    }
    var prices: [Int64] = []
    for publisher in 0..<Limits.publishersMax {
      if record.prices[publisher].raw > 0 { prices.append(record.prices[publisher].raw) }
      record.prices[publisher] = .zero
      record.times[publisher] = .zero
    }
    if prices.count >= Int(genesis.constants.oracleQuorum) {
      record.samples[Int(record.gathering % count)] = Price(raw: OraclePrice.median(prices))
    }
    record.sampled = record.gathering
    record.gathering = 0
    minutes[slot] = record
  }

  /// Samples of an underlying that stand for the thirty minutes up to `last`.
  func samples(_ underlying: UnderlyingID, upTo last: Int64) -> [Int64] {
    let record = minutes[underlying.index]
    let count = Int64(MinuteRecord.sampleCount)
    var prices: [Int64] = []
    for minute in last - count + 1...last
    where minute > record.sampled - count && minute <= record.sampled {
      let price = record.samples[Int(minute % count)].raw
      if price > 0 { prices.append(price) }
    }
    return prices
  }

  /// The settlement price of an expired contract, once it can be known: ⌊mean⌋ of the samples; with
  /// too few, a day later, or where the terms ask for none, the index.
  func settlementPrice(_ instrument: Instrument) -> Price? {
    let underlying = instrument.underlying
    if instrument.settlementSamples > 0 {
      guard time.raw > instrument.expiry.raw + ClearingMachine.window else { return nil }
      let prices = samples(underlying, upTo: instrument.expiry.raw / ClearingMachine.minute)
      if prices.count >= Int(instrument.settlementSamples) {
        let sum = prices.reduce(Int128(0)) { $0 + Int128($1) }
        return Price(raw: Int64(sum / Int128(prices.count)))
      }
    }
    let wait = instrument.settlementSamples > 0 ? SettlementSamples.deferralMax : 0
    guard isFresh(underlying), indices[underlying.index].time.raw >= instrument.expiry.raw + wait
    else { return nil }
    return indices[underlying.index].price
  }

  // MARK: - Doubt

  /// Counts for how long in a row an index has been more doubted than trusted.
  mutating func noteDoubt() {
    for slot in 0..<minutes.count {
      let isDoubted = minutes[slot].doubt.raw > Ratio.scale / 2
      if isDoubted {
        minutes[slot].doubtful += 1
      } else if minutes[slot].doubtful != 0 {
        minutes[slot].doubtful = 0
      }
    }
  }

  /// Whether doubt holds the liquidation of an account back: for so many batches, and only while
  /// what it lacks is less than a band's move of its doubtful positions (field.md 5).
  func isHeldBack(_ account: AccountID, lacking: Int128) -> Bool {
    guard genesis.constants.holdBackBatchesMax > 0 else { return false }
    var exposed: Int128 = 0
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let underlying = instruments[position.instrument.index].underlying.index
      let batches = minutes[underlying].doubtful
      guard batches > 0, batches <= UInt64(genesis.constants.holdBackBatchesMax) else { continue }
      exposed += Int128(position.quantity.raw.magnitude) * Int128(indices[underlying].price.raw)
    }
    // 128 positions of 2^61 × 2^63 and a band below 2^30 could pass Int128: the scale goes first.
    let (whole, rest) = exposed.quotientAndRemainder(dividingBy: Int128(Ratio.scale))
    let band = Int128(genesis.constants.confidenceBand)
    return lacking < whole * band + rest * band / Int128(Ratio.scale)
  }
}
