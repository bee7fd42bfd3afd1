import Margin
import Primitives

/// What execution knows of every account's margin, derived from its facts and never hashed: equity,
/// and per underlying the scenario sums of positions and open orders; of an account in cross mode,
/// where nothing nets, those of each contract and each asset.
struct RiskBook: ~Copyable {
  /// What sums are of, where nothing nets: a contract, or an asset that counts.
  struct Leg: Equatable {
    let raw: UInt32
    init(_ instrument: InstrumentID) { raw = instrument.raw }
    init(_ asset: AssetID) { raw = .max - UInt32(asset.raw) }
  }

  private let underlyingCount: Int
  /// By account and underlying: a slot of sums, -1 for none, or -2 less the first of a list of slots.
  private var slots: [Int32] = []
  private var isApart: [Bool] = []
  /// Of each slot in a list, its leg and the next slot, or -1.
  private var legs: [UInt32] = []
  private var links: [Int32] = []
  private var free: [Int32] = []
  private var worstOfSlot: [Int128] = []
  var sums = ScenarioSums(capacity: 1024)
  /// Cash + positions at mark − cost, as granted, less outflows and losses of fills since.
  var equity: [Int128] = []
  /// Sum over underlyings of the worst scenario: at most zero.
  private var worstTotal: [Int128] = []
  /// What every worst is asked beside itself, while the quote asset stands below its peg.
  var pegShare = Ratio.zero
  private var marks: [UInt32] = []
  private var round: UInt32 = 0

  init(underlyingCount: Int) { self.underlyingCount = underlyingCount }

  /// Makes room for accounts up to `count`.
  mutating func reserve(accounts count: Int) {
    while equity.count < count {
      equity.append(0)
      worstTotal.append(0)
      isApart.append(false)
      for _ in 0..<underlyingCount { slots.append(-1) }
    }
  }

  /// From now on nothing nets in an account that has no sums yet.
  mutating func setApart(_ account: AccountID) { isApart[account.index] = true }

  /// The sums of an account that an exposure of `leg` in an underlying belongs to; made on first use.
  @inline(__always)
  mutating func slot(_ account: AccountID, _ underlying: UnderlyingID, _ leg: Leg) -> Int {
    let place = account.index * underlyingCount + underlying.index
    if slots[place] >= 0 { return Int(slots[place]) }
    return otherSlot(place, account, leg)
  }

  @inline(never)
  private mutating func otherSlot(_ place: Int, _ account: AccountID, _ leg: Leg) -> Int {
    var next = firstInList(place)
    while next >= 0 {
      if legs[next] == leg.raw { return next }
      next = Int(links[next])
    }
    let slot = newSlot()
    guard isApart[account.index] else {
      slots[place] = Int32(slot)
      return slot
    }
    legs[slot] = leg.raw
    links[slot] = Int32(firstInList(place))
    slots[place] = -2 - Int32(slot)
    return slot
  }

  private mutating func newSlot() -> Int {
    if let slot = free.popLast() { return Int(slot) }
    worstOfSlot.append(0)
    legs.append(0)
    links.append(-1)
    return sums.append()
  }

  /// The first slot of a list, or -1.
  @inline(__always)
  private func firstInList(_ place: Int) -> Int {
    slots[place] <= -2 ? Int(-2 - slots[place]) : -1
  }

  /// The slots of an account in an underlying.
  @inline(__always)
  private func forEachSlot(_ place: Int, _ body: (Int) -> Void) {
    if slots[place] >= 0 { return body(Int(slots[place])) }
    var next = firstInList(place)
    while next >= 0 {
      body(next)
      next = Int(links[next])
    }
  }

  /// What an account's open orders would lose in an underlying, all filled, the market standing
  /// still: at most zero.
  func still(_ account: AccountID, _ underlying: UnderlyingID) -> Int128 {
    var still: Int128 = 0
    forEachSlot(account.index * underlyingCount + underlying.index) { still += sums.still($0).raw }
    return still
  }

  /// Recomputes the cached worst of a slot.
  mutating func refresh(_ account: AccountID, _ slot: Int) {
    set(account, slot, worst: sums.worst(slot).loss)
  }

  /// Keeps the worst of a slot whose sums have changed.
  @inline(__always)
  mutating func set(_ account: AccountID, _ slot: Int, worst: Notional) {
    let worst = worst.raw
    worstTotal[account.index] += worst - worstOfSlot[slot]
    worstOfSlot[slot] = worst
  }

  /// Recomputes every cached worst.
  mutating func refreshAll() {
    for account in equity.indices {
      for underlying in 0..<underlyingCount {
        let place = account * underlyingCount + underlying
        if slots[place] >= 0 { refresh(AccountID(UInt32(account)), Int(slots[place])) }
        var next = firstInList(place)
        while next >= 0 {
          refresh(AccountID(UInt32(account)), next)
          next = Int(links[next])
        }
      }
    }
  }

  /// Marks accounts, and forgets earlier marks.
  mutating func mark(_ accounts: [AccountID]) {
    if round == .max { for index in marks.indices { marks[index] = 0 } }
    round = round == .max ? 1 : round + 1
    while marks.count < equity.count { marks.append(0) }
    for account in accounts { marks[account.index] = round }
  }

  func isMarked(_ account: AccountID) -> Bool {
    account.index < marks.count && marks[account.index] == round
  }

  /// Equity less the worst of every underlying: what is left, at least, whatever fills.
  func room(_ account: AccountID) -> Int128 {
    equity[account.index] + asked(worstTotal[account.index])
  }

  /// The room if `slot`'s worst became `worst`.
  func room(_ account: AccountID, _ slot: Int, worst: Notional) -> Int128 {
    equity[account.index] + asked(worstTotal[account.index] - worstOfSlot[slot] + worst.raw)
  }

  /// A worst with what the quote asset's lost peg asks beside it; never above it.
  @inline(__always)
  private func asked(_ worst: Int128) -> Int128 {
    pegShare == .zero ? worst : worst - MarginSheet.share(0 - worst, pegShare)
  }

  /// Forgets every sum and every equity, to be rebuilt from the facts; slots in lists become free.
  mutating func clear() {
    for place in slots.indices where slots[place] <= -2 {
      var next = firstInList(place)
      while next >= 0 {
        free.append(Int32(next))
        next = Int(links[next])
      }
      slots[place] = -1
    }
    for slot in 0..<sums.count { sums.clear(slot) }
    for index in worstOfSlot.indices { worstOfSlot[index] = 0 }
    for index in equity.indices {
      equity[index] = 0
      worstTotal[index] = 0
    }
  }

  /// Memory held, in bytes.
  var byteCount: Int {
    slots.count * 4 + worstOfSlot.count * 16 + equity.count * 32 + sums.count * 600
  }
}
