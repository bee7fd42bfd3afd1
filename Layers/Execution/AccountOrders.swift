import Primitives

/// Which slots every account's orders rest in, in no order: rows of four words, of which the first
/// leads to the account's next row and three hold a slot or nothing. Entering and leaving touch one
/// row, most often one that the account used last, and no other order's. Short rows, since most
/// accounts have few orders.
///
/// A free word holds −2 less the next free one of the account; −1 ends it. Of an account without
/// orders one row is kept; the others go back.
struct AccountOrders: ~Copyable {
  private struct Head: BitwiseCopyable {
    var row: Int32 = -1
    var free: Int32 = -1
    var count: Int32 = 0
  }

  private var heads = FlatArray<Head>()
  private var words = FlatArray<Int32>()
  /// Rows of nobody, each leading to the next.
  private var freeRow: Int32 = -1

  private static let rowWords = 4

  init() {}

  init(accounts: Int) { heads = FlatArray(repeating: Head(), count: accounts) }

  mutating func addAccount() { heads.append(Head()) }

  var accountCount: Int { heads.count }

  /// Memory held, in bytes.
  var byteCount: Int { heads.byteCount + words.byteCount }

  /// Enters a slot; where it stands is what `remove` asks for.
  @inline(__always)
  mutating func insert(_ account: AccountID, _ slot: Int) -> Int32 {
    var place = heads[account.index].free
    if place < 0 { place = newRow(of: account.index) }
    heads[account.index].free = -2 &- words[Int(place)]
    heads[account.index].count &+= 1
    words[Int(place)] = Int32(truncatingIfNeeded: slot)
    return place
  }

  @inline(__always)
  mutating func remove(_ account: AccountID, _ place: Int32) {
    words[Int(place)] = -2 &- heads[account.index].free
    heads[account.index].free = place
    heads[account.index].count &-= 1
    if heads[account.index].count == 0 { giveBack(account.index) }
  }

  /// Every slot of an account, in no order.
  func slots(of account: AccountID) -> [Int] {
    var found: [Int] = []
    found.reserveCapacity(Int(heads[account.index].count))
    var row = heads[account.index].row
    while row >= 0 {
      let first = Int(row) &* AccountOrders.rowWords
      for word in (first + 1)..<(first + AccountOrders.rowWords) where words[word] >= 0 {
        found.append(Int(words[word]))
      }
      row = words[first]
    }
    return found
  }

  /// Puts another row at the head of an account's, all of it free, and gives its first word.
  @inline(never)
  private mutating func newRow(of account: Int) -> Int32 {
    var row = freeRow
    if row >= 0 {
      freeRow = words[Int(row) &* AccountOrders.rowWords]
    } else {
      row = Int32(words.count / AccountOrders.rowWords)
      for _ in 0..<AccountOrders.rowWords { words.append(-1) }
    }
    words[Int(row) &* AccountOrders.rowWords] = heads[account].row
    heads[account].row = row
    return thread(row)
  }

  /// Makes a row one chain of free words and gives the first.
  private mutating func thread(_ row: Int32) -> Int32 {
    let first = Int(row) &* AccountOrders.rowWords
    for word in (first + 1)..<(first + AccountOrders.rowWords) {
      words[word] = -2 &- Int32(word &+ 1)
    }
    words[first + AccountOrders.rowWords - 1] = -1
    return Int32(first + 1)
  }

  /// Gives the rows of an account without orders back, but for one.
  private mutating func giveBack(_ account: Int) {
    let kept = heads[account].row
    var row = words[Int(kept) &* AccountOrders.rowWords]
    guard row >= 0 else { return }
    while row >= 0 {
      let next = words[Int(row) &* AccountOrders.rowWords]
      words[Int(row) &* AccountOrders.rowWords] = freeRow
      freeRow = row
      row = next
    }
    words[Int(kept) &* AccountOrders.rowWords] = -1
    heads[account].free = thread(kept)
  }
}
