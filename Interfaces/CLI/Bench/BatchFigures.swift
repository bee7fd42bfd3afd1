import Client

/// What one batch costs the two machines when there are so many accounts, each with a position:
/// a thousand orders of accounts far apart, half of them filled.
struct BatchFigures {
  static let orderCount = 1_000
  let accounts: Int
  /// Processor seconds of execution and clearing together for a batch, half of many took less; and
  /// for one with an oracle tick, which weighs every account anew.
  let seconds: Double
  let tickSeconds: Double
  /// Bytes both machines hold for an account with one position.
  let bytesPerAccount: Double

  init(accounts: Int) throws {
    var house = try BatchHouse(accounts: accounts)
    try house.settleIn()
    var plain: [Double] = []
    var ticks: [Double] = []
    for round in 0..<12 {
      let isTick = round % 4 == 3
      let cost = try house.batch(orders: BatchFigures.orderCount, tick: isTick)
      let seconds = cost.execution + cost.clearing
      if isTick { ticks.append(seconds) } else { plain.append(seconds) }
    }
    self.accounts = accounts
    seconds = Percentile(plain).p50
    tickSeconds = Percentile(ticks).p50
    bytesPerAccount = house.bytesPerAccount
  }
}
