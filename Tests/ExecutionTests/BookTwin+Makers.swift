import Instruments
import Margin
import Primitives
import Wire

/// Timers, mass quotes and protections, by search.
extension BookTwin {
  struct Protection: Equatable {
    var account: Int
    var underlying: Int
    var window: Int64
    var frozen: Int64
    /// Fills, quantity, delta, vega.
    var limits: [Int64]
    var sums: [Int64] = [0, 0, 0, 0]
    var start: Int64 = 0
    var until: Int64 = 0
  }

  // MARK: - Timers

  mutating func setTimer(_ wait: Int64, _ account: Int) -> Outcome {
    timers.removeAll { $0.account == account }
    guard wait > 0 else { return Outcome(.accepted) }
    timers.append((account, time + wait))
    return Outcome(.accepted, .done, time + wait, 0)
  }

  mutating func runOutTimers() {
    let now = time
    let due = timers.filter { $0.deadline <= now }
      .sorted { ($0.deadline, $0.account) < ($1.deadline, $1.account) }
      .prefix(64).map { $0.account }
    for account in due {
      orders.removeAll { $0.account == account }
      triggers.removeAll { $0.account == account }
      timers.removeAll { $0.account == account }
    }
  }

  // MARK: - Protections

  private func protection(_ account: Int, _ underlying: Int) -> Int? {
    protections.firstIndex { $0.account == account && $0.underlying == underlying }
  }

  mutating func protect(_ record: ActionRecord, _ account: Int) -> Outcome {
    guard record.id < market.count else { return .rejected(.unknownInstrument) }
    let known = protection(account, Int(record.id))
    if record.a == 1 {
      guard let known else { return .rejected(.noProtection) }
      protections[known].sums = [0, 0, 0, 0]
      protections[known].start = 0
      protections[known].until = 0
      return Outcome(.accepted)
    }
    var new = Protection(
      account: account, underlying: Int(record.id), window: record.x, frozen: record.y,
      limits: [
        Int64(record.z), Int64(record.tail.words.0), Int64(record.tail.words.1),
        Int64(record.tail.words.2),
      ])
    if let known {
      new.until = protections[known].until
      protections.remove(at: known)
    }
    if record.x > 0 { protections.append(new) }
    return Outcome(.accepted)
  }

  /// ⌊a / b⌋ by adding what the remainder lacks.
  private func floor(_ a: Int128, _ b: Int128) -> Int128 {
    a / b - (a % b < 0 ? 1 : 0)
  }

  /// Counts a maker's fill; the account's quotes go where that is too many.
  mutating func countFill(of maker: Order, _ size: Int64) {
    let underlying = instruments[maker.instrument].underlying
    guard maker.isQuote, let place = protection(maker.account, underlying.index) else { return }
    let id = InstrumentID(UInt32(maker.instrument))
    func unit(_ scenario: Int) -> Int128 { Int128(table.unit(id, scenario).raw) }
    let index = Int128(market[underlying.index].index.raw)
    let span = Int128(table.volatilitySpan(id).raw)
    var (slope, point): (Int128, Int128) = (0, 0)
    if margin.methodCode == 3 {
      // A third of the range up and down, each with two volatilities, the market less a look-ahead.
      let whole = (index * Int128(margin.spanRange.raw))
        .divided(by: 1_000_000_000, rounding: .nearestEven)
      let third = whole.divided(by: 3, rounding: .nearestEven)
      let rise = unit(2) + unit(3) - unit(4) - unit(5)
      slope = third == 0 ? 0 : floor(rise * 1_000_000_000, 4 * third)
      point = span == 0 ? 0 : floor((unit(0) - unit(1)) * 10_000_000, span)
    } else {
      // −4 % is the fourth of eight moves and +4 % the fifth, each with three volatilities.
      slope = floor((unit(13) - unit(10)) * 12_500_000_000, index)
      point = span == 0 ? 0 : floor((unit(25) - unit(24)) * 10_000_000, span)
    }
    let signed = Int128(maker.side.sign * size)
    var record = protections[place]
    if record.start == 0 || time - record.start >= record.window {
      record.start = time
      record.sums = [0, 0, 0, 0]
    }
    let change = [
      1, Int128(size), floor(signed * slope, 1_000_000_000), floor(signed * point, 10_000_000_000),
    ]
    for figure in 0..<4 {
      record.sums[figure] = Int64(clamping: Int128(record.sums[figure]) + change[figure])
    }
    let isTripped = zip(record.sums, record.limits).contains { sum, limit in
      limit != 0 && sum.magnitude >= limit.magnitude
    }
    if isTripped {
      trips += 1
      record.start = 0
      record.sums = [0, 0, 0, 0]
      record.until = record.frozen == 0 ? .max : time + record.frozen
      let all = instruments
      orders.removeAll {
        $0.isQuote && $0.account == maker.account
          && all[$0.instrument].underlying == underlying
      }
    }
    protections[place] = record
  }

  // MARK: - Mass quotes

  mutating func quote(_ quote: MassQuote, _ account: Int) -> Outcome {
    guard quote.underlying.index < market.count else { return .rejected(.unknownInstrument) }
    if let place = protection(account, quote.underlying.index) {
      if protections[place].until > time {
        return .rejected(.quotesFrozen, protections[place].until, time)
      }
      protections[place].until = 0
    }
    let before = orders.filter {
      $0.isQuote && $0.account == account
        && instruments[$0.instrument].underlying == quote.underlying
    }.sorted { $0.id < $1.id }
    var stands: [(instrument: Int, side: Side)] = []
    for old in before {
      let entry = quote.entries.first { $0.instrument.index == old.instrument }
      if entry == nil, !quote.pullsOthers { continue }
      let size = entry?.quantity(old.side).raw ?? 0
      let stays =
        size > 0 && entry?.price(old.side).raw == old.price && size <= old.left
        && instruments[old.instrument].trades(at: Timestamp(raw: time))
        && size % instruments[old.instrument].lot.raw == 0
        && !stands.contains { $0.instrument == old.instrument && $0.side == old.side }
      let place = orders.firstIndex { $0.id == old.id } ?? 0
      if stays {
        orders[place].remaining = size
        stands.append((old.instrument, old.side))
      } else {
        orders.remove(at: place)
      }
    }
    var outcomes: [Outcome] = []
    for entry in quote.entries {
      for side in [Side.buy, .sell] where entry.quantity(side).raw > 0 {
        let isThere = stands.contains {
          $0.instrument == entry.instrument.index && $0.side == side
        }
        outcomes.append(
          isThere ? Outcome(.accepted, .done, 0, 1) : enter(entry, side, quote, account))
      }
    }
    let refused = outcomes.filter {
      $0.status == .rejected || $0.figure1 == 0 && $0.figure2 == 0
    }
    return Outcome(
      .accepted, refused.first.flatMap { OutcomeCode(rawValue: $0.code) } ?? .done,
      Int64(outcomes.count - refused.count), Int64(refused.count))
  }

  private mutating func enter(
    _ entry: QuoteEntry, _ side: Side, _ quote: MassQuote, _ account: Int
  ) -> Outcome {
    let record = ActionRecord(
      kindCode: ActionKind.place.rawValue, a: side.rawValue,
      c: quote.postOnly == .no ? 0 : quote.postOnly == .reject ? 1 : 5, id: entry.instrument.raw,
      x: entry.price(side).raw, y: entry.quantity(side).raw)
    if let refusal = terms(record) { return refusal }
    let instrument = entry.instrument.index
    if instruments[instrument].underlying != quote.underlying {
      return .rejected(.unknownInstrument)
    }
    let (low, high) = band(instrument)
    var price = record.x
    if side == .buy ? price > high : price < low {
      return .rejected(.priceOutsideBand, price, side == .buy ? high : low)
    }
    if let refusal = slide(record, side, &price) { return refusal }
    var order = Order(
      id: 0, clientID: 0, account: account, instrument: instrument, side: side, price: price,
      remaining: record.y, isReduceOnly: false)
    order.isQuote = true
    return enter(order, .gtc, quote.selfTrade, replacing: nil)
  }
}
