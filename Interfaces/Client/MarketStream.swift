public import Primitives
public import Wire

/// An instrument's book as execution publishes it, kept up by updates. What is missing is asked for
/// again by itself.
public final class MarketStream {
  private let client: LayerClient
  public private(set) var book: MarketBook
  private var request: UInt64 = 0
  /// How often the feed had to be asked again.
  public private(set) var recoveries = 0

  /// - Parameter client: connected to execution; nothing else may use it meanwhile.
  public init(_ client: LayerClient, _ instrument: InstrumentID) {
    self.client = client
    book = MarketBook(instrument)
  }

  /// Takes updates until `body` answers false: it sees each once the book has taken it. Called again,
  /// it goes on where it was.
  /// - Parameter patienceMilliseconds: returns after so long without an update; nil: waits for ever.
  /// - Throws: `ClientFailure`, and what `body` throws.
  public func run(
    patienceMilliseconds: Int? = nil, _ body: (MarketUpdate, MarketBook) throws -> Bool
  ) throws {
    if request == 0 { try follow(after: book.batch) }
    while true {
      guard
        let bytes = try client.next(
          of: request, type: MessageType.market, patienceMilliseconds: patienceMilliseconds)
      else { return }
      let update: MarketUpdate
      do throws(DecodingFailure) {
        update = try MarketUpdate(decoding: bytes.rawSpan)
      } catch {
        throw ClientFailure.answer(client.address, expected: "a market update", found: "\(error)")
      }
      do throws(MarketDataFailure) {
        try book.take(update)
      } catch {
        recoveries += 1
        try follow(after: FollowMarketMessage.nothing)
        continue
      }
      if !update.isPartial, try !body(update, book) { return }
    }
  }

  private func follow(after batch: BatchNumber) throws(ClientFailure) {
    request = try client.connection.send(
      type: MessageType.followMarket,
      body: FollowMarketMessage(.market(book.instrument), after: batch).encoded)
  }
}

/// What happens to an account's orders, as execution publishes it.
public final class AccountStream {
  private let client: LayerClient
  public let account: AccountID
  private var request: UInt64 = 0
  /// The batch of the newest update.
  public private(set) var batch = FollowMarketMessage.nothing
  public private(set) var orders: [OrderID: RestingOrder] = [:]

  /// - Parameter client: connected to execution; nothing else may use it meanwhile.
  public init(_ client: LayerClient, _ account: AccountID) {
    self.client = client
    self.account = account
  }

  /// Takes updates until `body` answers false; as `MarketStream.run`.
  /// - Throws: `ClientFailure`, and what `body` throws.
  public func run(
    patienceMilliseconds: Int? = nil, _ body: (AccountUpdate) throws -> Bool
  ) throws {
    if request == 0 { request = try follow(after: batch) }
    while true {
      guard
        let bytes = try client.next(
          of: request, type: MessageType.accountOrders, patienceMilliseconds: patienceMilliseconds)
      else { return }
      let update: AccountUpdate
      do throws(DecodingFailure) {
        update = try AccountUpdate(decoding: bytes.rawSpan)
      } catch {
        throw ClientFailure.answer(client.address, expected: "an account update", found: "\(error)")
      }
      if update.isSnapshot {
        orders = [:]
      } else if update.previous != batch {
        request = try follow(after: batch)
        continue
      }
      batch = update.batch
      for order in update.orders { orders[order.id] = order.quantity.raw == 0 ? nil : order }
      if try !body(update) { return }
    }
  }

  private func follow(after batch: BatchNumber) throws(ClientFailure) -> UInt64 {
    try client.connection.send(
      type: MessageType.followMarket,
      body: FollowMarketMessage(.account(account), after: batch).encoded)
  }
}

extension LayerClient {
  /// The body of a request's next message; nil after a silence longer than is waited for.
  func next(of request: UInt64, type: UInt16, patienceMilliseconds: Int?)
    throws(ClientFailure) -> [UInt8]?
  {
    while true {
      let frame: Frame
      do throws(ClientFailure) {
        frame = try connection.receive(timeoutMilliseconds: patienceMilliseconds ?? 10_000)
      } catch {
        guard case .timeout = error else { throw error }
        if patienceMilliseconds == nil { continue }
        return nil
      }
      guard frame.requestID == request else { continue }
      if frame.type == SessionMessage.error {
        throw .refused(address, try connection.message(frame))
      }
      guard frame.type == type else {
        throw .answer(address, expected: "message type \(type)", found: "\(frame.type)")
      }
      return frame.body
    }
  }
}
