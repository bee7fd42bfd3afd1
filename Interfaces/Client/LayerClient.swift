import Commitments
import Instruments
public import Primitives
public import Wire

/// A client of one layer: typed questions over a `BlockingConnection`. Use it from one thread.
public final class LayerClient {
  public let connection: BlockingConnection
  public let genesis: Genesis
  public let network: Digest
  public var address: Address { connection.address }

  /// Connects to a layer, which has to prove the handshake key that genesis gives its role.
  /// - Throws: `ClientFailure`.
  public init(
    to address: Address, _ role: Role, genesis: Genesis, timeoutMilliseconds: Int = 5_000
  ) throws(ClientFailure) {
    self.genesis = genesis
    network = genesis.networkID
    connection = try BlockingConnection(
      to: address, network: network, role: role, key: genesis.handshakeKey(of: role),
      timeoutMilliseconds: timeoutMilliseconds)
  }

  // MARK: - Questions

  /// What a layer says of itself.
  /// - Throws: `ClientFailure`.
  public func status() throws(ClientFailure) -> JSONValue { try json(QueryMessage(.status)) }

  /// Of execution: what is listed now.
  /// - Throws: `ClientFailure`.
  public func instruments() throws(ClientFailure) -> InstrumentDirectory {
    let bytes = try ask(QueryMessage(.instruments))
    let size = MemoryLayout<Instrument>.size
    guard bytes.count % size == 0 else {
      throw .answer(address, expected: "instrument records", found: "\(bytes.count) bytes")
    }
    var directory = InstrumentDirectory(underlyings: genesis.underlyings)
    for offset in stride(from: 0, to: bytes.count, by: size) {
      let instrument = Instrument(bytes.rawSpan, at: offset)
      guard instrument.id.index == directory.instruments.count, instrument.isCanonical else {
        throw .answer(
          address, expected: "instrument \(directory.instruments.count)",
          found: "instrument \(instrument.id)")
      }
      directory.append(instrument)
    }
    return directory
  }

  /// Of execution: an order book's best levels.
  /// - Throws: `ClientFailure`.
  public func book(_ instrument: InstrumentID) throws(ClientFailure) -> JSONValue {
    try json(QueryMessage(.book, subject: UInt64(instrument.raw)))
  }

  /// Of clearing: an account's cash, margin and positions.
  /// - Throws: `ClientFailure`.
  public func account(_ account: AccountID) throws(ClientFailure) -> JSONValue {
    try json(QueryMessage(.account, subject: UInt64(account.raw)))
  }

  /// Of clearing: an account and its market as a line of `novate margin`.
  /// - Throws: `ClientFailure`; `.notFound` also where something of it has no mark.
  public func marginLine(_ account: AccountID) throws(ClientFailure) -> JSONValue {
    try json(QueryMessage(.margin, subject: UInt64(account.raw)))
  }

  /// Of clearing: what margin goes by in an underlying, with a risk array an instrument.
  /// - Throws: `ClientFailure`.
  public func risk(_ underlying: UnderlyingID) throws(ClientFailure) -> JSONValue {
    try json(QueryMessage(.risk, subject: UInt64(underlying.raw)))
  }

  /// Of execution: an account's open orders.
  /// - Throws: `ClientFailure`.
  public func orders(_ account: AccountID) throws(ClientFailure) -> JSONValue {
    try json(QueryMessage(.orders, subject: UInt64(account.raw)))
  }

  /// The nonces of a key: the highest one used, and bit *n* for the one *n* below it.
  public struct Nonces: Sendable, Hashable {
    public var top: UInt64
    public var window: UInt64
  }

  /// Of execution: a key's nonces; nil when the account has no such key.
  /// - Throws: `ClientFailure`.
  public func nonces(_ account: AccountID, _ key: PublicKey) throws(ClientFailure) -> Nonces? {
    let bytes: [UInt8]
    do throws(ClientFailure) {
      bytes = try ask(QueryMessage(.nonce, subject: UInt64(account.raw), key: key))
    } catch {
      if case .refused(_, let message) = error, message.code == .notFound { return nil }
      throw error
    }
    do throws(DecodingFailure) {
      let answer = try NonceAnswer(decoding: bytes.rawSpan)
      return Nonces(top: answer.top, window: answer.window)
    } catch {
      throw .answer(address, expected: "two numbers of 8 bytes", found: "\(bytes.count) bytes")
    }
  }

  /// Of settlement: a small bundle file that proves an account or a trade.
  /// - Throws: `ClientFailure`.
  public func prove(_ question: ProveMessage) throws(ClientFailure) -> [UInt8] {
    let frame = try connection.request(type: MessageType.prove, body: question.encoded)
    try expect(frame, MessageType.proof)
    let manifest: BundleFile.Manifest
    do throws(BundleFileFailure) {
      manifest = try BundleFile(frame.body).manifest
    } catch {
      throw .answer(address, expected: "a bundle file", found: "\(error)")
    }
    guard manifest.kind == question.kind, manifest.subject == question.subject,
      manifest.network == network
    else {
      throw .answer(
        address, expected: "a proof of \(question.kind) \(question.subject)",
        found: "one of \(manifest.kind) \(manifest.subject)")
    }
    return frame.body
  }

  /// Of settlement: whether the batch an acknowledgement names keeps it. Where it does not, settlement
  /// signs no more.
  /// - Throws: `ClientFailure`; retryable while the batch is not settled.
  public func judge(_ promise: SignedAcknowledgement) throws(ClientFailure) -> Bool {
    let frame = try connection.request(type: MessageType.promise, body: promise.encoded)
    try expect(frame, MessageType.judged)
    let body = frame.body
    do throws(DecodingFailure) {
      let answer = try JudgedMessage(decoding: body.rawSpan)
      guard answer.batch == promise.leaf.batch, answer.index == promise.leaf.index else {
        throw .invalid(field: "place", offset: 0)
      }
      return answer.isKept
    } catch {
      throw .answer(
        address, expected: "a judgement of batch \(promise.leaf.batch)", found: "\(error)")
    }
  }

  private func ask(_ query: QueryMessage) throws(ClientFailure) -> [UInt8] {
    let frame = try connection.request(type: MessageType.query, body: query.encoded)
    try expect(frame, MessageType.answer)
    return frame.body
  }

  private func json(_ query: QueryMessage) throws(ClientFailure) -> JSONValue {
    let bytes = try ask(query)
    do throws(JSONFailure) {
      return try JSONValue.parse(bytes)
    } catch {
      throw .answer(address, expected: "JSON", found: "\(error)")
    }
  }

  private func expect(_ frame: Frame, _ type: UInt16) throws(ClientFailure) {
    guard frame.type == type else {
      throw .answer(address, expected: "message type \(type)", found: "\(frame.type)")
    }
  }

  // MARK: - Logs

  /// Follows logs of the layer together; objects of one log come in order.
  ///
  /// Ends when `object` answers false, or when every log that has a last batch has given it; then
  /// close the connection by letting go of the client, as the layer may still be sending.
  /// - Parameters:
  ///   - patienceMilliseconds: how long it may be silent; nil for ever.
  ///   - object: gets an object as encoded and answers whether to go on.
  /// - Throws: `ClientFailure`, and what `object` throws.
  public func follow(
    _ logs: [FollowMessage], patienceMilliseconds: Int? = nil,
    _ object: (FollowMessage.Log, [UInt8]) throws -> Bool
  ) throws {
    var open: [(id: UInt64, log: FollowMessage.Log, left: UInt64)] = []
    for message in logs {
      let id = try connection.send(type: MessageType.follow, body: message.encoded)
      let isEndless = message.through == BatchNumber(.max) || message.from == FollowMessage.next
      let left = isEndless ? UInt64.max : message.through.raw - message.from.raw + 1
      open.append((id, message.log, left))
    }
    while !open.isEmpty {
      let frame: Frame
      do throws(ClientFailure) {
        frame = try connection.receive(timeoutMilliseconds: patienceMilliseconds ?? 10_000)
      } catch {
        if case .timeout = error, patienceMilliseconds == nil { continue }
        throw error
      }
      guard let place = open.firstIndex(where: { $0.id == frame.requestID }) else { continue }
      if frame.type == SessionMessage.error {
        throw ClientFailure.refused(address, try connection.message(frame))
      }
      try expect(frame, open[place].log.objectType)
      guard try object(open[place].log, frame.body) else { return }
      if open[place].left != .max {
        open[place].left -= 1
        if open[place].left == 0 { open.remove(at: place) }
      }
    }
  }

  /// A batch of execution, with execution's signature and its body checked.
  /// - Throws: `ClientFailure.answer`.
  public func batch(_ bytes: [UInt8]) throws(ClientFailure) -> SignedBatch {
    let batch: SignedBatch
    do throws(DecodingFailure) {
      batch = try SignedBatch(encoded: bytes.rawSpan)
    } catch {
      throw .answer(address, expected: "a batch", found: "\(error)")
    }
    guard batch.header.network == network, SHA256.digest(batch.body) == batch.header.bodyHash,
      Ed25519.isValid(batch.signature, of: batch.header.id, by: genesis.execution.object)
    else {
      throw .answer(
        address, expected: "a batch that execution signed", found: "batch \(batch.header.batch)")
    }
    return batch
  }

  /// A Clearance, with clearing's signature and its body checked.
  /// - Throws: `ClientFailure.answer`.
  public func clearance(_ bytes: [UInt8]) throws(ClientFailure) -> SignedClearance {
    let clearance: SignedClearance
    do throws(DecodingFailure) {
      clearance = try SignedClearance(encoded: bytes.rawSpan)
    } catch {
      throw .answer(address, expected: "a Clearance", found: "\(error)")
    }
    guard clearance.header.network == network,
      SHA256.digest(clearance.body) == clearance.header.bodyHash,
      Ed25519.isValid(clearance.signature, of: clearance.header.id, by: genesis.clearing.object)
    else {
      throw .answer(
        address, expected: "a Clearance that clearing signed",
        found: "batch \(clearance.header.batch)")
    }
    return clearance
  }
}

extension FollowMessage.Log {
  /// The message type of the log's objects.
  public var objectType: UInt16 {
    switch self {
    case .batches: MessageType.batch
    case .clearances: MessageType.clearance
    case .checkpoints: MessageType.checkpoint
    }
  }
}

extension Genesis {
  /// What a layer proves in a handshake; nil for a role without one.
  public func handshakeKey(of role: Role) -> PublicKey? {
    switch role {
    case .execution: execution.handshake
    case .clearing: clearing.handshake
    case .settlement: settlement.handshake
    case .client, .witness: nil
    }
  }
}
