import Client
import Commitments
import Logging
public import Primitives
import Storage
public import Wire

/// What the sources have shown and the layer has not replayed.
public struct RecoveryShelf: Sendable {
  public var batches: [UInt64: (batch: SignedBatch, encoded: [UInt8])] = [:]
  public var clearances: [UInt64: (clearance: SignedClearance, encoded: [UInt8])] = [:]
  /// The number after the last object of our own log that any source holds; nil before all have
  /// said where it ends.
  public internal(set) var shownEnd: UInt64?
}

/// A layer's own part in its recovery.
public protocol RecoveringLayer: AnyObject {
  /// The log this layer signs, as others keep it; settlement's follows clearing's.
  var ownLog: FollowMessage.Log { get }
  /// The next batch to replay.
  var next: UInt64 { get }
  /// The first Clearance needed.
  var nextClearance: UInt64 { get }
  /// Replays and stores the next batch; nothing is signed.
  /// - Returns: false when the shelf lacks something.
  /// - Throws: when the replay does not give what was signed.
  func replay(_ shelf: inout RecoveryShelf) throws -> Bool
  /// Everything signed has been replayed: puts the folder in order.
  /// - Returns: the last batch the folder now stands for.
  func finish() throws -> (batch: BatchNumber, id: Digest)
  /// Answers a question about state; nil for what it does not know.
  func answer(_ query: QueryMessage) -> [UInt8]?
  /// What the layer's status says besides.
  var figures: [(key: String, value: JSONValue)] { get }
}

/// A folder that may not sign: it serves reads, is shown by its peers or an operator's file what
/// this role signed, replays that, and may sign again once it has reached the last of it.
public final class Recovery: ServerHandler, Sendable {
  enum Letter: Sendable {
    case batch(SignedBatch, encoded: [UInt8])
    case clearance(SignedClearance, encoded: [UInt8])
    case connected(Int, Connection)
    case disconnected(Int, Connection)
    case end(Int, EndMessage)
    case query(QueryMessage, Connection, requestID: UInt64)
  }

  let context: LayerContext
  let box = MailBox<Letter>()

  private init(_ context: LayerContext) { self.context = context }

  /// Recovers a folder if it has to be; returns at once if it does not.
  ///
  /// - Parameters:
  ///   - isStopping: asked twice a second.
  ///   - layer: made only where there is something to recover.
  /// - Returns: false when it was asked to stop before the end.
  public static func run(
    _ context: LayerContext, _ keeper: StateKeeper, handshake: HandshakeKey,
    isStopping: () -> Bool, layer: () throws -> any RecoveringLayer
  ) throws -> Bool {
    guard keeper.isRecovering else { return true }
    let layer = try layer()
    let recovery = Recovery(context)
    let server = Server(configuration: context.serverConfiguration(handshake), handler: recovery)
    try server.start()
    defer { server.stop() }
    let loops = EventLoops()
    defer { loops.stop() }
    var peers: [Peer] = []
    defer { for peer in peers { peer.stop() } }
    for (place, source) in context.recoverySources.enumerated() {
      switch source {
      case .address(let address):
        let configuration = PeerConfiguration(
          address: address, network: context.network, role: context.role, key: handshake)
        peers.append(
          Peer(
            configuration: configuration,
            handler: RecoveryPeer(place, recovery.box, genesis: context.genesis), loops: loops))
      case .file(let path):
        recovery.box.put(
          contentsOf: try RecoverySource.letters(
            of: path, source: place, genesis: context.genesis))
      }
    }
    for peer in peers { peer.start() }
    LayerContext.announce(server.address ?? context.listen)
    var desk = RecoveryDesk(context, keeper, layer, recovery.box)
    return try desk.run(isStopping: isStopping)
  }

  // MARK: - ServerHandler

  public func connected(_ connection: Connection) {}
  public func disconnected(_ connection: Connection) {}

  public func received(_ frame: Frame, from connection: Connection) {
    switch frame.type {
    case MessageType.query:
      do {
        let query = try QueryMessage(decoding: frame.body.rawSpan)
        box.put(.query(query, connection, requestID: frame.requestID))
      } catch {
        connection.refuse(frame.requestID, ErrorMessage(.malformed, "\(error)"))
      }
    case SessionMessage.error: break
    default:
      connection.refuse(
        frame.requestID, ErrorMessage(.notReady, "\(context.role) is recovering"))
    }
  }
}

/// The recovery's own thread of work: asks, gathers, replays, and decides when it is done.
private struct RecoveryDesk {
  private struct Source {
    let name: String
    let isFile: Bool
    var connection: Connection?
    /// The last batch asked for, by log.
    var asked: [FollowMessage.Log: UInt64] = [:]
    /// Where the source's log ends, once it has said so.
    var ends: [FollowMessage.Log: UInt64] = [:]
    var role: Role?

    /// Whether this source keeps a log.
    func keeps(_ log: FollowMessage.Log) -> Bool {
      switch role {
      case nil: isFile
      case .execution: log == .batches
      case .clearing, .settlement: true
      case .client, .witness: false
      }
    }
  }

  /// Objects asked for at a time; half of them may lie on the shelf before more are asked for.
  private static let windowCount: UInt64 = 256
  private static let tickNanoseconds: UInt64 = 500_000_000

  private let context: LayerContext
  private let keeper: StateKeeper
  private let layer: any RecoveringLayer
  private let box: MailBox<Recovery.Letter>
  private let least: UInt64
  private let because: String
  private var sources: [Source]
  private var shelf = RecoveryShelf()
  /// The number after the highest object of our own log seen.
  private var shown: UInt64 = 0
  private var requestID: UInt64 = 0
  /// Why it cannot go on, if it cannot.
  private var fault: String?

  init(
    _ context: LayerContext, _ keeper: StateKeeper, _ layer: any RecoveringLayer,
    _ box: MailBox<Recovery.Letter>
  ) {
    self.context = context
    self.keeper = keeper
    self.layer = layer
    self.box = box
    sources = context.recoverySources.map {
      if case .file = $0 {
        Source(name: "\($0)", isFile: true)
      } else {
        Source(name: "\($0)", isFile: false)
      }
    }
    if case .recovering(let least, let because) = keeper.standing {
      self.least = least
      self.because = because.text
    } else {
      least = 0
      because = ""
    }
  }

  mutating func run(isStopping: () -> Bool) throws -> Bool {
    context.log.warning(
      "recovering: nothing is signed before all that was signed has been replayed",
      metadata: ["because": "\(because)", "at_least": "\(least)", "next": "\(layer.next)"])
    while !isStopping() {
      let tick = Clock.monotonicNanoseconds + RecoveryDesk.tickNanoseconds
      var isTick = false
      while !isTick {
        let letters = box.takeAll(until: tick)
        isTick = Clock.monotonicNanoseconds >= tick
        for letter in letters { take(letter) }
        try replay()
        if isDone { return try finish() }
        ask(again: isTick)
      }
    }
    return false
  }

  // MARK: - Gathering

  private mutating func take(_ letter: Recovery.Letter) {
    switch letter {
    case .batch(let batch, let encoded):
      if layer.ownLog == .batches { compare(batch.header.batch.raw, batch.header.id) }
      if batch.header.batch.raw >= layer.next {
        shelf.batches[batch.header.batch.raw] = (batch, encoded)
      }
    case .clearance(let clearance, let encoded):
      let number = clearance.header.batch.raw
      if layer.ownLog == .clearances { compare(number, clearance.header.id) }
      if number >= min(layer.next, layer.nextClearance) {
        shelf.clearances[number] = (clearance, encoded)
      }
    case .connected(let place, let connection):
      sources[place].connection = connection
      sources[place].role = connection.role
      sources[place].asked = [:]
      sources[place].ends = [:]
    case .disconnected(let place, let connection):
      if sources[place].connection?.id == connection.id { sources[place].connection = nil }
    case .end(let place, let message):
      sources[place].ends[message.log] = message.next.raw
      if message.log == layer.ownLog { shown = max(shown, message.next.raw) }
    case .query(let query, let connection, let requestID):
      answer(query, connection, requestID)
    }
  }

  /// Notes an object this role once signed, and holds it against what the folder has for it.
  private mutating func compare(_ number: UInt64, _ id: Digest) {
    shown = max(shown, number + 1)
    // Settlement signs checkpoints: clearing's ids are not its own.
    guard context.role != .settlement, context.role != .witness, number < layer.next else { return }
    do {
      guard let own = try keeper.signedID(number), own != id else { return }
      fail("batch \(number): the folder holds \(own), and what was signed is \(id)")
    } catch {
      fail("\(error)")
    }
  }

  private mutating func ask(again: Bool) {
    guard fault == nil else { return }
    for place in sources.indices {
      guard let connection = sources[place].connection, !connection.isClosed else { continue }
      for log in [FollowMessage.Log.batches, .clearances] where sources[place].keeps(log) {
        let wanted = log == .batches ? layer.next : layer.nextClearance
        let from: UInt64
        if let end = sources[place].ends[log] {
          // More may have come since; but nobody has to be asked for what nobody holds.
          guard again, wanted >= end else { continue }
          from = end
        } else if let asked = sources[place].asked[log] {
          guard wanted + RecoveryDesk.windowCount / 2 > asked else { continue }
          from = asked + 1
        } else {
          // The last one held is compared too.
          from = log == layer.ownLog && wanted > 0 ? wanted - 1 : wanted
        }
        let through = from + RecoveryDesk.windowCount - 1
        sources[place].asked[log] = through
        // Asking again takes the place of having asked; windows overlap, so each has its own id.
        requestID += 1
        connection.send(
          type: MessageType.follow,
          requestID: sources[place].ends[log] == nil ? requestID : .max - UInt64(log.rawValue),
          body: FollowMessage(
            log, from: BatchNumber(from), through: BatchNumber(through), wantsEnd: true
          ).encoded)
      }
    }
  }

  // MARK: - Replaying

  private mutating func replay() throws {
    guard fault == nil else { return }
    shelf.shownEnd = hasEveryEnd ? shown : nil
    do {
      while layer.next < goal, try layer.replay(&shelf) {
        Fault.reach("recovery.replayed")
        let next = layer.next
        let kept = min(next, layer.nextClearance)
        shelf.batches[next - 1] = nil
        if shelf.clearances.count > 512 {
          shelf.clearances = shelf.clearances.filter { $0.key >= kept }
        }
      }
    } catch let error as StorageFailure {
      // What was replayed and not stored is gone with the process; a start begins again.
      throw error
    } catch {
      fail("\(error)")
    }
  }

  /// Where the replay stops: past all that was shown and all that the folder itself knows.
  private var goal: UInt64 { max(shown, least + 1) }

  /// Whether every source has said where our log ends, and there is one that keeps it.
  private var hasEveryEnd: Bool {
    var holders = 0
    for source in sources {
      if source.role == nil && !source.isFile { return false }
      guard source.keeps(layer.ownLog) else { continue }
      guard source.ends[layer.ownLog] != nil else { return false }
      holders += 1
    }
    return holders > 0
  }

  private var isDone: Bool { fault == nil && hasEveryEnd && layer.next >= goal }

  private mutating func finish() throws -> Bool {
    let (batch, id) = try layer.finish()
    Fault.reach("recovery.finishing")
    try keeper.finishRecovery(batch, id)
    context.log.notice("recovered: signing again", metadata: ["after_batch": "\(batch)"])
    return true
  }

  private mutating func fail(_ reason: String) {
    guard fault == nil else { return }
    fault = reason
    context.log.critical("cannot recover this folder", metadata: ["reason": "\(reason)"])
  }

  // MARK: - Answers

  private func answer(_ query: QueryMessage, _ connection: Connection, _ requestID: UInt64) {
    guard let body = query.kind == .status ? status.bytes() : layer.answer(query) else {
      connection.refuse(requestID, ErrorMessage(.notReady, "\(context.role) is recovering"))
      return
    }
    connection.send(
      type: MessageType.answer, flags: .response, requestID: requestID, body: body)
  }

  private var status: JSONValue {
    .object(
      [
        ("role", .string("\(context.role)")),
        ("network", .string("\(context.network)")),
        ("batch", .integer(layer.next)),
      ] + layer.figures + [
        ("degraded", .bool(false)),
        ("state", .string("recovering")),
        ("recover_at_least", .integer(least)),
        ("recover_shown", shown > 0 ? .integer(shown - 1) : .null),
        ("reason", .string(reason)),
      ])
  }

  private var reason: String {
    if let fault { return "\(because); \(fault)" }
    let silent = sources.filter {
      ($0.role == nil && !$0.isFile) || ($0.keeps(layer.ownLog) && $0.ends[layer.ownLog] == nil)
    }
    if !silent.isEmpty {
      return "\(because); waiting for \(silent.map(\.name).joined(separator: ", "))"
    }
    guard sources.contains(where: { $0.keeps(layer.ownLog) }) else {
      return "\(because); no source keeps \(layer.ownLog): name one with --recover-from"
    }
    return "\(because); replayed to batch \(layer.next), at least \(goal) are needed"
  }
}

extension Standing.Reason {
  var text: String {
    switch self {
    case .restored: "the folder was restored from a backup"
    case .highwaterMissing: "the highwater file is missing or unreadable"
    case .highwaterCopied: "the highwater file was copied from elsewhere"
    case .databaseBehind: "the database is behind the highwater file"
    case .disagreement: "database and highwater file name two ids for one batch"
    }
  }
}
