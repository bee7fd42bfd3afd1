import Commitments
public import Primitives

/// The standard matching workload NM-1: one operation stream that any engine can replay and be
/// compared on. The generator runs its own reference book, so that a random live order is truly
/// live; digests prove the same work.
public struct NM1: Sendable {
  /// One operation, 24 bytes in the digest's encoding.
  public struct Operation: Hashable, Sendable {
    /// 0 limit, 1 cancel, 2 immediate-or-cancel with a far limit.
    public var kind: UInt8
    /// 0 buy, 1 sell; of a cancel, the resting order's.
    public var side: UInt8
    public var account: UInt16
    public var quantity: UInt32
    public var id: UInt64
    public var price: Int64
  }

  /// One trade, 28 bytes in the digest's encoding.
  public struct Trade: Hashable, Sendable {
    public var maker: UInt64
    public var taker: UInt64
    public var price: Int64
    public var quantity: UInt32

    public init(maker: UInt64, taker: UInt64, price: Int64, quantity: UInt32) {
      self.maker = maker
      self.taker = taker
      self.price = price
      self.quantity = quantity
    }
  }

  public let operations: [Operation]
  public let trades: [Trade]
  /// Most orders resting at once, and at the end.
  public let liveMax: Int
  public let liveEnd: Int

  /// The first `count` operations.
  public init(count: Int) {
    var maker = Maker()
    maker.run(count)
    operations = maker.operations
    trades = maker.trades
    liveMax = maker.liveMax
    liveEnd = maker.live.count
  }

  /// SHA-256 of all operations.
  public var streamDigest: Digest {
    var out = ByteWriter(capacity: operations.count * 24)
    for operation in operations {
      out.write(operation.kind)
      out.write(operation.side)
      out.write(operation.account)
      out.write(operation.quantity)
      out.write(operation.id)
      out.write(operation.price)
    }
    return SHA256.digest(out.bytes)
  }

  /// SHA-256 of trades.
  public static func digest(_ trades: [Trade]) -> Digest {
    var out = ByteWriter(capacity: trades.count * 28)
    for trade in trades {
      out.write(trade.maker)
      out.write(trade.taker)
      out.write(trade.price)
      out.write(trade.quantity)
    }
    return SHA256.digest(out.bytes)
  }

  /// The cheap in-run check of a timed loop.
  public struct Fold: Hashable, Sendable {
    public private(set) var value: UInt64 = 0
    public init() {}

    @inlinable public mutating func add(
      maker: UInt64, taker: UInt64, price: Int64, quantity: UInt64
    ) {
      var h = value
      h ^= maker &* 0x9E37_79B9_7F4A_7C15
      h = h << 23 | h >> 41
      h ^= taker &* 0xBF58_476D_1CE4_E5B9
      h = h << 23 | h >> 41
      h ^= UInt64(bitPattern: price) &* 0x94D0_49BB_1331_11EB &+ quantity
      set(h &* 0xD6E8_FEB8_6659_FD93)
    }

    @usableFromInline mutating func set(_ value: UInt64) { self.value = value }
  }

  public static func fold(_ trades: [Trade]) -> UInt64 {
    var fold = Fold()
    for trade in trades {
      fold.add(
        maker: trade.maker, taker: trade.taker, price: trade.price,
        quantity: UInt64(trade.quantity))
    }
    return fold.value
  }

  /// What a run of a published length must give.
  public struct Expected: Sendable {
    public let count: Int
    public let new: Int, cancel: Int, immediate: Int
    public let trades: Int
    public let volume: UInt64
    public let liveMax: Int, liveEnd: Int
    public let fold: UInt64
    public let stream: String, tradesDigest: String
  }

  public static let expected = [
    Expected(
      count: 1_000, new: 614, cancel: 290, immediate: 96, trades: 266, volume: 9_083,
      liveMax: 161, liveEnd: 153, fold: 0x9097_7be6_51ea_e25b,
      stream: "91001ba9287d228d3d9004d780b6876c2b3e222c805b1e88c67e289d7fa747e2",
      tradesDigest: "c5f949b086ddf1f541066b90d33c1b865fe71ed3a94a43fe560bea5b5df30b3b"),
    Expected(
      count: 10_000, new: 5_983, cancel: 3_007, immediate: 1_010, trades: 2_980,
      volume: 100_941, liveMax: 997, liveEnd: 979, fold: 0xa64b_986c_0972_a4a9,
      stream: "b0d80150a9a8d5cbde19b496e7256b91313800da5754f5b36761dc45ef460011",
      tradesDigest: "a32f95d001e60f4cc49f3860bbc6ebb2db170fea7c37866d6c226a4a27479d83"),
    Expected(
      count: 100_000, new: 60_299, cancel: 29_849, immediate: 9_852, trades: 31_037,
      volume: 1_032_505, liveMax: 9_103, liveEnd: 9_075, fold: 0x847a_43a9_b5c7_5316,
      stream: "774ef1337099f625b708a6ac73e8dec05b1864938dcf21afef74a1ee8f30777e",
      tradesDigest: "43b6d2ea77bdaa94564edfa21ed44589827f3222dbeedfecaed3dac21d8af15c"),
    Expected(
      count: 1_000_000, new: 599_783, cancel: 300_000, immediate: 100_217, trades: 379_237,
      volume: 12_147_328, liveMax: 25_214, liveEnd: 17_853, fold: 0x91de_b150_7e91_95dd,
      stream: "0b162de7668ea56194acc90edb67eca0c85997639326b982b26738e4c002a670",
      tradesDigest: "fc3c9e4f14be6aa36679fb38f0fddb7e701f2206b55e0a9ac8f32f2a7bad7570"),
    Expected(
      count: 10_000_000, new: 6_001_228, cancel: 2_998_637, immediate: 1_000_135,
      trades: 3_950_461, volume: 125_474_238, liveMax: 33_733, liveEnd: 22_267,
      fold: 0x908d_662c_65da_64c9,
      stream: "b1afe8983f5bde7654bae1e8962eadcda17514516b7e7702da613c85756ad730",
      tradesDigest: "44fc15b91db73e82433f7cf980a3e8b84521346ccb7f4b8036d4fca4d4e984a8"),
  ]
}

/// The generator and its reference book: dictionaries of prices to queues, nothing clever.
private struct Maker {
  private struct Order {
    var side: UInt8
    var price: Int64
    var remaining: UInt32
    var place: Int
  }

  private var state: UInt64 = 0x4E6F_7661_7465
  private var middle: Int64 = 1_000_000
  private(set) var live: [UInt64] = []
  private var orders: [UInt64: Order] = [:]
  /// Ids at a price, oldest first; a cancelled id is skipped when it comes up.
  private var levels: [[Int64: (ids: [UInt64], head: Int, count: Int)]] = [[:], [:]]
  /// Prices of each side that have orders, rising.
  private var prices: [[Int64]] = [[], []]
  private(set) var operations: [NM1.Operation] = []
  private(set) var trades: [NM1.Trade] = []
  private(set) var liveMax = 0

  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func run(_ count: Int) {
    operations.reserveCapacity(count)
    for index in 0..<count { step(UInt64(index)) }
  }

  private mutating func step(_ index: UInt64) {
    let r0 = next()
    if r0 >> 56 == 0 { middle -= 1 }
    if r0 >> 56 == 255 { middle += 1 }
    var choice = r0 % 100
    let account = UInt16(r0 >> 16 & 1023)
    if choice >= 60, choice < 90, live.isEmpty { choice = 0 }
    let r1 = next()
    if choice >= 60, choice < 90 {
      let id = live[Int(r1 % UInt64(live.count))]
      guard let order = orders[id] else { preconditionFailure("a live order is in the book") }
      operations.append(
        NM1.Operation(
          kind: 1, side: order.side, account: account, quantity: 0, id: id, price: 0))
      remove(id, order)
      return
    }
    let side = UInt8(r1 & 1)
    let away: Int64
    let quantity: UInt32
    if choice < 60 {
      let fine = Int64(r1 >> 1 & 7)
      let k = Int64((r1 >> 8 | 1 << 20).trailingZeroBitCount)
      away = -(1 + 8 * k + fine)
      quantity = 1 + UInt32(r1 >> 32 % 100)
    } else {
      away = 1_000
      quantity = 1 + UInt32(r1 >> 32 % 200)
    }
    let operation = NM1.Operation(
      kind: choice < 60 ? 0 : 2, side: side, account: account, quantity: quantity, id: index + 1,
      price: side == 0 ? middle + away : middle - away)
    operations.append(operation)
    match(operation)
  }

  private mutating func match(_ operation: NM1.Operation) {
    var left = operation.quantity
    let other = Int(1 - operation.side)
    while left > 0, let best = operation.side == 0 ? prices[other].first : prices[other].last,
      operation.side == 0 ? best <= operation.price : best >= operation.price
    {
      guard let level = levels[other][best] else { preconditionFailure("a price has its level") }
      var head = level.head
      while orders[level.ids[head]] == nil { head += 1 }
      levels[other][best]?.head = head
      let id = level.ids[head]
      guard var maker = orders[id] else { preconditionFailure("the head of a level is live") }
      let size = min(left, maker.remaining)
      trades.append(
        NM1.Trade(maker: id, taker: operation.id, price: best, quantity: size))
      left -= size
      maker.remaining -= size
      orders[id] = maker
      if maker.remaining == 0 { remove(id, maker) }
    }
    if operation.kind == 0, left > 0 { rest(operation, left) }
  }

  private mutating func rest(_ operation: NM1.Operation, _ left: UInt32) {
    let side = Int(operation.side)
    if levels[side][operation.price] == nil {
      levels[side][operation.price] = ([], 0, 0)
      let place = prices[side].firstIndex { $0 > operation.price } ?? prices[side].count
      prices[side].insert(operation.price, at: place)
    }
    levels[side][operation.price]?.ids.append(operation.id)
    levels[side][operation.price]?.count += 1
    orders[operation.id] = Order(
      side: operation.side, price: operation.price, remaining: left, place: live.count)
    live.append(operation.id)
    liveMax = max(liveMax, live.count)
  }

  private mutating func remove(_ id: UInt64, _ order: Order) {
    orders[id] = nil
    let side = Int(order.side)
    levels[side][order.price]?.count -= 1
    if levels[side][order.price]?.count == 0 {
      levels[side][order.price] = nil
      prices[side].removeAll { $0 == order.price }
    }
    // The last live order moves into the hole.
    let last = live.removeLast()
    if last != id {
      live[order.place] = last
      orders[last]?.place = order.place
    }
  }
}
