import Primitives

/// What the open batch changed, to be told to execution and hashed.
struct Touched {
  /// Each once, in the order of first touch until they are sorted.
  private(set) var accounts: [AccountID] = []
  private var marks: [UInt32] = []
  private var round: UInt32 = 1
  /// account << 32 | instrument.
  var positions: [UInt64] = []
  /// account << 32 | asset.
  var balances: [UInt64] = []
  var indices: [Int] = []
  var slices: [Int] = []
  var instruments: [Int] = []
  /// Other terms of the margin method are in force.
  var margin = false

  mutating func touch(_ account: AccountID) {
    while marks.count <= account.index { marks.append(0) }
    guard marks[account.index] != round else { return }
    marks[account.index] = round
    accounts.append(account)
  }

  /// Asks for an account's mark before it is touched.
  @inline(__always)
  func prefetch(_ account: AccountID) {
    if account.index < marks.count { marks.prefetch(account.index) }
  }

  /// Puts the accounts in order; almost nothing where they are.
  mutating func sortAccounts() {
    let isSorted = zip(accounts, accounts.dropFirst()).allSatisfy { $0 < $1 }
    if !isSorted {
      accounts = accounts.map { UInt64($0.raw) }.inOrder.map { AccountID(UInt32($0)) }
    }
  }

  @inline(__always)
  func isTouched(_ account: AccountID) -> Bool {
    account.index < marks.count && marks[account.index] == round
  }

  var marketChanges: Int {
    indices.count + slices.count + instruments.count + (margin ? 1 : 0)
  }
  var marketMoved: Bool { marketChanges > 0 }

  mutating func clear() {
    accounts.removeAll(keepingCapacity: true)
    if round == .max { for index in marks.indices { marks[index] = 0 } }
    round = round == .max ? 1 : round + 1
    positions.removeAll(keepingCapacity: true)
    balances.removeAll(keepingCapacity: true)
    indices.removeAll()
    slices.removeAll()
    instruments.removeAll()
    margin = false
  }
}

extension [UInt64] {
  /// Ascending. Keys of a batch are many and alike: only the digits in which they differ are sorted by.
  var inOrder: [UInt64] {
    guard count > 256 else { return sorted() }
    var differing: UInt64 = 0
    for key in self { differing |= key ^ self[0] }
    var (keys, other) = (self, self)
    var shift: UInt64 = 0
    while shift < 64, differing >> shift != 0 {
      // A digit begins at the lowest bit that differs.
      shift += UInt64((differing >> shift).trailingZeroBitCount)
      var places = InlineArray<2048, Int32>(repeating: 0)
      for key in keys { places[Int(key >> shift & 2047)] += 1 }
      var start: Int32 = 0
      for digit in places.indices {
        let size = places[digit]
        places[digit] = start
        start += size
      }
      for key in keys {
        let digit = Int(key >> shift & 2047)
        other[Int(places[digit])] = key
        places[digit] += 1
      }
      swap(&keys, &other)
      shift += 11
    }
    return keys
  }

  /// Ascending, each once.
  func sortedOnce() -> [UInt64] { inOrder.once }
}

extension [Int] {
  /// Ascending, each once.
  func sortedOnce() -> [Int] { sorted().once }
}

extension Array where Element: Equatable {
  /// Without those that follow their like.
  fileprivate var once: [Element] {
    var out: [Element] = []
    out.reserveCapacity(count)
    for element in self where out.last != element { out.append(element) }
    return out
  }
}
