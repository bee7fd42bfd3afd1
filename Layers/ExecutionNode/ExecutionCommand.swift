import ArgumentParser
import Commitments
import Logging
import Node
import Primitives
import Storage
import Wire

/// `novate-execution`: orders and matches signed transactions, and batches the trades.
@main struct ExecutionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate-execution",
    abstract: "Orders and matches signed client transactions, and batches the trades.",
    version: "novate \(Version.text)")

  @OptionGroup var options: LayerOptions

  func run() throws {
    do {
      try serve()
    } catch {
      startFailed(error)
    }
  }

  private func serve() throws {
    let stopping = MailBox<Bool>()
    Shutdown.install { stopping.put(true) }
    let context = try LayerContext(
      role: .execution, options: options, defaultPort: 7701, defaultPeers: [7702])
    let keeper = try context.openState()
    let handshake = HandshakeKey(
      try context.key("execution-handshake", expecting: context.genesis.execution.handshake))
    guard
      try Recovery.run(
        context, keeper, handshake: handshake, isStopping: { stopping.count > 0 },
        layer: { try ExecutionRecovery(context: context, keeper: keeper) })
    else { return }
    let service = try ExecutionService(
      context: context, keeper: keeper,
      start: try ExecutionStart.load(context: context, keeper: keeper))
    let server = Server(
      configuration: context.serverConfiguration(handshake), handler: service)
    try server.start()
    let loops = EventLoops()
    let follower = ClearanceFollower(service: service)
    let peers = context.peers.map { address in
      Peer(
        configuration: context.peerConfiguration(address, .clearing, handshake),
        handler: follower, loops: loops)
    }
    for peer in peers { peer.start() }
    let page = try context.servePage(server) {
      service.frozen.reason.map { "frozen: \($0)" }
        ?? (service.degraded.isSet ? "degraded: the disk is full" : nil)
    }
    LayerContext.announce(server.address ?? context.listen)
    _ = stopping.takeAll()
    page?.stop()
    context.endIfDegraded(service.degraded)
    for peer in peers { peer.stop() }
    server.stop()
    service.stop()
    loops.stop()
    context.log.notice("stopped")
  }
}

/// Follows clearing's log and hands its Clearances to the apply thread.
final class ClearanceFollower: PeerHandler, Sendable {
  private let service: ExecutionService

  init(service: ExecutionService) { self.service = service }

  func connected(_ connection: Connection) {
    // If clearing has one of that number that we have not, this folder was rolled back, or is new
    // where it should not be: a snapshot of the whole disk hides that from highwater.
    let shown = FollowMessage(.batches, from: service.first, through: service.first)
    connection.send(type: MessageType.follow, requestID: 2, body: shown.encoded)
    // The apply thread skips what it has; the adopted batch is durable, so begin after it.
    let from = service.state.adoptedEnd
    let message = FollowMessage(.clearances, from: BatchNumber(from))
    connection.send(type: MessageType.follow, requestID: 1, body: message.encoded)
  }

  func disconnected(_ connection: Connection) {}

  func received(_ frame: Frame, from connection: Connection) {
    do {
      if frame.type == MessageType.batch {
        try compare(try SignedBatch(encoded: frame.body.rawSpan))
        return
      }
      guard frame.type == MessageType.clearance else { return }
      let clearance = try SignedClearance(encoded: frame.body.rawSpan)
      guard clearance.header.network == service.context.network,
        SHA256.digest(clearance.body) == clearance.header.bodyHash,
        Ed25519.isValid(
          clearance.signature, of: clearance.header.id, by: service.context.genesis.clearing.object)
      else {
        service.context.log.error(
          "refused a Clearance", metadata: ["batch": "\(clearance.header.batch)"])
        connection.close(error: ErrorMessage(.malformed, "the Clearance is not clearing's"))
        return
      }
      service.box.put(.clearance(clearance, bytes: frame.body))
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }

  /// Holds a batch that clearing was shown against our own of that number, and stops the process
  /// before it signs more if they are not the same.
  private func compare(_ batch: SignedBatch) throws {
    let header = batch.header
    guard header.network == service.context.network, header.batch == service.first,
      Ed25519.isValid(batch.signature, of: header.id, by: service.context.genesis.execution.object)
    else { return }
    let own = try service.keeper.signedID(header.batch.raw)
    guard own != header.id else { return }
    try Highwater.distrust(service.context.folder)
    service.context.log.critical(
      "this folder was rolled back: clearing holds a batch it does not; the next start recovers",
      metadata: [
        "batch": "\(header.batch)", "shown": "\(header.id)",
        "own": "\(own.map { "\($0)" } ?? "none")",
      ])
    exitAfterFatal()
  }
}
