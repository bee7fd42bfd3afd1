public import Primitives
public import Wire

/// The standard pipeline workload NP-1: NM-1's operations on one perpetual, handed to 1 024 market
/// makers and packed into bundles. A new order belongs to account id mod 1 024, a cancel to the
/// owner of the order it cancels.
public enum NP1 {
  public static let makerCount = 1_024
  /// One tick and one lot of the workload, in the protocol's units: 0.1 and 0.001.
  public static let tick = Price(raw: Price.scale / 10)
  public static let lot = Quantity(raw: Quantity.scale / 1_000)

  /// One bundle: whose, and the places of its operations in the stream.
  public struct Turn: Sendable, Hashable {
    public let maker: Int
    public let operations: [Int]
  }

  /// Packs each maker's operations, in the stream's order, into bundles of `size`; makers take turns
  /// by their earliest unsent operation. A maker's last bundle holds what is left.
  public static func turns(_ stream: [NM1.Operation], in range: Range<Int>, size: Int) -> [Turn] {
    precondition(size > 0)
    var waiting: [[Int]] = Array(repeating: [], count: makerCount)
    for place in range { waiting[maker(of: stream[place])].append(place) }
    var sent = Array(repeating: 0, count: makerCount)
    var turns: [Turn] = []
    for place in range {
      let maker = maker(of: stream[place])
      // Sent already with an earlier one of the same maker.
      guard sent[maker] < waiting[maker].count, waiting[maker][sent[maker]] == place else {
        continue
      }
      let end = min(sent[maker] + size, waiting[maker].count)
      turns.append(Turn(maker: maker, operations: Array(waiting[maker][sent[maker]..<end])))
      sent[maker] = end
    }
    return turns
  }

  public static func maker(of operation: NM1.Operation) -> Int {
    Int(operation.id % UInt64(makerCount))
  }

  /// What an operation asks of execution. The workload's order id is the client's own.
  public static func action(_ operation: NM1.Operation, on instrument: InstrumentID) -> Action {
    if operation.kind == 1 {
      return .cancelClient(instrument: instrument, clientID: operation.id)
    }
    return .place(
      instrument: instrument, side: operation.side == 0 ? .buy : .sell,
      price: Price(raw: operation.price * tick.raw),
      quantity: Quantity(raw: Int64(operation.quantity) * lot.raw),
      timeInForce: operation.kind == 2 ? .ioc : .gtc, postOnly: false, reduceOnly: false,
      clientID: operation.id)
  }
}
