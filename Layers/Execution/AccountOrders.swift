import Primitives

/// Which slots every account's orders rest in, in no order: sixteen words a cache line, of which the
/// first leads to the account's next line and fifteen hold a slot or nothing. Entering and leaving
/// touch one line, most often one that the account used last, and no other order's.
///
/// A free word holds −2 less the next free one of the account; −1 ends it. Of an account without
/// orders one line is kept; the others go back.
struct AccountOrders: ~Copyable {
  private struct Head: BitwiseCopyable {
    var line: Int32 = -1
    var free: Int32 = -1
    var count: Int32 = 0
  }

  private var heads = FlatArray<Head>()
  private var words = FlatArray<Int32>()
  /// Lines of nobody, each leading to the next.
  private var freeLine: Int32 = -1

  private static let lineWords = 16

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
    if place < 0 { place = newLine(of: account.index) }
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
    var line = heads[account.index].line
    while line >= 0 {
      let first = Int(line) &* AccountOrders.lineWords
      for word in (first + 1)..<(first + AccountOrders.lineWords) where words[word] >= 0 {
        found.append(Int(words[word]))
      }
      line = words[first]
    }
    return found
  }

  /// Puts another line at the head of an account's, all of it free, and gives its first word.
  @inline(never)
  private mutating func newLine(of account: Int) -> Int32 {
    var line = freeLine
    if line >= 0 {
      freeLine = words[Int(line) &* AccountOrders.lineWords]
    } else {
      line = Int32(words.count / AccountOrders.lineWords)
      for _ in 0..<AccountOrders.lineWords { words.append(-1) }
    }
    words[Int(line) &* AccountOrders.lineWords] = heads[account].line
    heads[account].line = line
    return thread(line)
  }

  /// Makes a line one row of free words and gives the first.
  private mutating func thread(_ line: Int32) -> Int32 {
    let first = Int(line) &* AccountOrders.lineWords
    for word in (first + 1)..<(first + AccountOrders.lineWords) {
      words[word] = -2 &- Int32(word &+ 1)
    }
    words[first + AccountOrders.lineWords - 1] = -1
    return Int32(first + 1)
  }

  /// Gives the lines of an account without orders back, but for one.
  private mutating func giveBack(_ account: Int) {
    let kept = heads[account].line
    var line = words[Int(kept) &* AccountOrders.lineWords]
    guard line >= 0 else { return }
    while line >= 0 {
      let next = words[Int(line) &* AccountOrders.lineWords]
      words[Int(line) &* AccountOrders.lineWords] = freeLine
      freeLine = line
      line = next
    }
    words[Int(kept) &* AccountOrders.lineWords] = -1
    heads[account].free = thread(kept)
  }
}
