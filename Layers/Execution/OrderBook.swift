import Primitives

/// All orders at one price, first in first out.
struct Level {
  let price: Price
  /// First and last slot.
  var head: Int32
  var tail: Int32
}

/// The neighbours of a resting order: in its level and in its account's list.
struct OrderLinks {
  var next: Int32 = -1
  var previous: Int32 = -1
  var accountNext: Int32 = -1
  var accountPrevious: Int32 = -1
}

/// One side of a book: levels sorted so that the best is last, found by bisection. Almost all
/// traffic is near the touch, so an insertion moves few levels.
struct BookSide {
  /// Buy levels rise, sell levels fall: the best price is the last.
  let isBuy: Bool
  private(set) var levels: [Level] = []

  var best: Level? { levels.last }

  /// The place of `price`, or where it would stand.
  private func place(of price: Price) -> (index: Int, isThere: Bool) {
    var low = 0
    var high = levels.count
    while low < high {
      let middle = (low + high) / 2
      let here = levels[middle].price
      if here == price { return (middle, true) }
      if (here < price) == isBuy { low = middle + 1 } else { high = middle }
    }
    return (low, false)
  }

  /// Whether an opposite order at `price` meets this side's best.
  func isCrossed(by price: Price) -> Bool {
    guard let best = levels.last else { return false }
    return isBuy ? price <= best.price : price >= best.price
  }

  /// Puts `slot` at the back of its level.
  mutating func append(_ slot: Int, price: Price, links: inout [OrderLinks]) {
    let (index, isThere) = place(of: price)
    links[slot].next = -1
    if isThere {
      let tail = levels[index].tail
      links[slot].previous = tail
      links[Int(tail)].next = Int32(slot)
      levels[index].tail = Int32(slot)
    } else {
      links[slot].previous = -1
      levels.insert(Level(price: price, head: Int32(slot), tail: Int32(slot)), at: index)
    }
  }

  /// Takes `slot` out of its level, and the level out of the book if it was the last there.
  mutating func remove(_ slot: Int, price: Price, links: inout [OrderLinks]) {
    let link = links[slot]
    if link.previous < 0 || link.next < 0 {
      let (index, isThere) = place(of: price)
      precondition(isThere, "a resting order has its level")
      if link.previous < 0 && link.next < 0 {
        levels.remove(at: index)
      } else if link.previous < 0 {
        levels[index].head = link.next
      } else {
        levels[index].tail = link.previous
      }
    }
    if link.previous >= 0 { links[Int(link.previous)].next = link.next }
    if link.next >= 0 { links[Int(link.next)].previous = link.previous }
  }
}

/// Both sides of one instrument.
struct OrderBook {
  var bids = BookSide(isBuy: true)
  var asks = BookSide(isBuy: false)
}
