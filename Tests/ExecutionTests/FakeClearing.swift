import Instruments
import Primitives
import TestSupport
import Wire

/// A clearing house that nets what it is told and says what a test wants: enough to drive
/// execution alone.
struct FakeClearing {
  let genesis: Genesis
  private var previous: Digest
  private var positions: [[Int: (quantity: Int64, cost: Int64)]]
  private(set) var cash: [Int64]
  private var flags: [AccountFlags]
  private var owners: [PublicKey]
  private var touched: Set<Int> = []
  private var moved: Set<[Int]> = []

  init(genesis: Genesis) {
    self.genesis = genesis
    previous = genesis.networkID
    positions = Array(repeating: [:], count: genesis.accounts.count)
    cash = Array(repeating: 0, count: genesis.accounts.count)
    flags = Array(repeating: [], count: genesis.accounts.count)
    owners = genesis.accounts
  }

  mutating func credit(_ account: AccountID, _ amount: Int64) {
    cash[account.index] += amount
    touched.insert(account.index)
  }

  mutating func restrict(_ account: AccountID, _ isRestricted: Bool) {
    flags[account.index] = flags[account.index].mode.union(isRestricted ? .reduceOnly : [])
    touched.insert(account.index)
  }

  func position(_ account: AccountID, _ instrument: Int) -> Int64 {
    positions[account.index][instrument]?.quantity ?? 0
  }

  /// Freezes an account, as its auction does.
  mutating func freeze(_ account: AccountID) {
    flags[account.index] = flags[account.index].mode.union([.reduceOnly, .frozen])
    touched.insert(account.index)
  }

  /// Opens another account of an owner.
  private mutating func open(_ owner: PublicKey, _ mode: AccountMode, _ body: inout ClearanceBody) {
    body.opened.append(
      OpenedAccount(account: AccountID(UInt32(cash.count)), owner: owner, mode: mode))
    touched.insert(cash.count)
    cash.append(0)
    positions.append([:])
    flags.append(mode.flags)
    owners.append(owner)
  }

  /// Books the fills, withdrawals, transfers and openings of a batch and says what was touched, with `extra` on top.
  mutating func clear(
    _ header: ExecutionHeader, _ bytes: [UInt8],
    _ extra: (inout ClearanceBody) -> Void = { _ in }
  ) throws -> (header: ClearingHeader, body: ClearanceBody) {
    let batch = try BatchBody(bytes)
    var body = ClearanceBody()
    extra(&body)
    for index in 0..<batch.eventCount {
      if batch.eventKind(index) == .fill {
        book(batch.event(index, as: Fill.self))
      } else if batch.eventKind(index) == .instruction {
        let instruction = batch.event(index, as: Instruction.self)
        let record = batch.bundles[Int(instruction.bundle)].record(Int(instruction.record))
        let account = instruction.account
        if record.kind == .open, let mode = AccountMode(rawValue: record.a) {
          open(owners[account.index], mode, &body)
        }
        guard record.id == 0 else { continue }
        if record.kind == .withdraw || record.kind == .transfer { credit(account, -record.x) }
        if record.kind == .transfer { credit(AccountID(UInt32(record.z)), record.x) }
      }
    }
    for key in moved.sorted(by: { ($0[0], $0[1]) < ($1[0], $1[1]) }) {
      let entry = positions[key[0]][key[1]] ?? (0, 0)
      body.positions.append(
        PositionEntry(
          account: AccountID(UInt32(key[0])), instrument: InstrumentID(UInt32(key[1])),
          quantity: Quantity(raw: entry.quantity), cost: Money(raw: entry.cost)))
    }
    for account in touched.sorted() {
      body.accounts.append(
        AccountEntry(
          account: AccountID(UInt32(account)), flags: flags[account],
          cash: Money(raw: cash[account])))
    }
    touched = []
    moved = []
    var out = ClearingHeader()
    out.network = genesis.networkID
    out.batch = header.batch
    out.time = header.time
    out.execution = header.id
    out.previous = previous
    previous = out.id
    return (out, body)
  }

  /// Empties an instrument, as its settlement does.
  mutating func settle(_ instrument: Int, at price: Int64) {
    for account in positions.indices {
      guard let entry = positions[account][instrument] else { continue }
      let value = Int128(entry.quantity) * Int128(price)
      cash[account] += Int64(value.divided(by: Notional.perMoney, rounding: .down)) - entry.cost
      positions[account][instrument] = nil
      moved.insert([account, instrument])
      touched.insert(account)
    }
  }

  private mutating func book(_ fill: Fill) {
    let terms = genesis.instruments[fill.instrument.index]
    for (account, isBuyer) in [(fill.buyer.index, true), (fill.seller.index, false)] {
      let isTaker = AccountID(UInt32(account)) == fill.taker
      let quantity = isBuyer ? fill.quantity.raw : -fill.quantity.raw
      let worth = Int128(quantity) * Int128(fill.price.raw)
      var entry = positions[account][fill.instrument.index] ?? (0, 0)
      entry.quantity += quantity
      entry.cost += Int64(worth.divided(by: Notional.perMoney, rounding: .up))
      if entry.quantity == 0 {
        cash[account] -= entry.cost
        positions[account][fill.instrument.index] = nil
      } else {
        positions[account][fill.instrument.index] = entry
      }
      // The same rate and rounding as the ledger: notional up to money, its share up.
      let rate = Int128((isTaker ? terms.takerFee : terms.makerFee).raw)
      let notional = (fill.price * fill.quantity).raw.divided(
        by: Notional.perMoney, rounding: .up)
      cash[account] -= Int64((notional * rate).divided(by: 1_000_000_000, rounding: .up))
      touched.insert(account)
      moved.insert([account, fill.instrument.index])
    }
  }
}
