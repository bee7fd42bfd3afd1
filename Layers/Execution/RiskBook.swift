import Margin
import Primitives

/// What execution knows of every account's margin, derived from its facts and never hashed: equity,
/// and per underlying the scenario sums of positions and open orders.
struct RiskBook: ~Copyable {
  private let underlyingCount: Int
  private var slots: [Int32] = []
  private var worstOfSlot: [Int128] = []
  var sums = ScenarioSums(capacity: 1024)
  /// Cash + positions at mark − cost, as granted, less outflows and losses of fills since.
  var equity: [Int128] = []
  /// Sum over underlyings of the worst scenario: at most zero.
  private var worstTotal: [Int128] = []
  private var marks: [UInt32] = []
  private var round: UInt32 = 0

  init(underlyingCount: Int) { self.underlyingCount = underlyingCount }

  /// Makes room for accounts up to `count`.
  mutating func reserve(accounts count: Int) {
    while equity.count < count {
      equity.append(0)
      worstTotal.append(0)
      for _ in 0..<underlyingCount { slots.append(-1) }
    }
  }

  /// The sums of an account in an underlying; made on first use.
  @inline(__always)
  mutating func slot(_ account: AccountID, _ underlying: UnderlyingID) -> Int {
    let place = account.index * underlyingCount + underlying.index
    if slots[place] >= 0 { return Int(slots[place]) }
    let slot = sums.append()
    slots[place] = Int32(slot)
    worstOfSlot.append(0)
    return slot
  }

  /// What an account's open orders would lose in an underlying, all filled, the market standing
  /// still: at most zero.
  func still(_ account: AccountID, _ underlying: UnderlyingID) -> Int128 {
    let slot = slots[account.index * underlyingCount + underlying.index]
    return slot < 0 ? 0 : sums.still(Int(slot)).raw
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
        let slot = slots[account * underlyingCount + underlying]
        if slot >= 0 { refresh(AccountID(UInt32(account)), Int(slot)) }
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
    equity[account.index] + worstTotal[account.index]
  }

  /// The room if `slot`'s worst became `worst`.
  func room(_ account: AccountID, _ slot: Int, worst: Notional) -> Int128 {
    room(account) - worstOfSlot[slot] + worst.raw
  }

  /// Forgets every sum and every equity, to be rebuilt from the facts.
  mutating func clear() {
    for slot in 0..<sums.count { sums.clear(slot) }
    for index in worstOfSlot.indices { worstOfSlot[index] = 0 }
    for index in equity.indices {
      equity[index] = 0
      worstTotal[index] = 0
    }
  }

  /// Memory held, in bytes.
  var byteCount: Int {
    slots.count * 4 + worstOfSlot.count * 16 + equity.count * 32 + sums.count * 592
  }
}
