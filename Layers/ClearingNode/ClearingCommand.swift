import ArgumentParser
import Clearing
import Commitments
import Logging
import Node
import Primitives
import Storage
import Wire

/// `novate-clearing`: novates, nets, margins and settles what execution batched.
@main struct ClearingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate-clearing",
    abstract: "Novates and nets fills, takes margin, applies oracle prices, settles expiries.",
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
      role: .clearing, options: options, defaultPort: 7702, defaultPeers: [7701])
    let keeper = try context.openState()
    let handshake = HandshakeKey(
      try context.key("clearing-handshake", expecting: context.genesis.clearing.handshake))
    guard
      try Recovery.run(
        context, keeper, handshake: handshake, isStopping: { stopping.count > 0 },
        layer: { try ClearingRecovery(context: context, keeper: keeper) })
    else { return }
    let machine = try ClearingService.load(context, keeper)
    let service = try ClearingService(context: context, keeper: keeper, machine: machine)
    let server = Server(
      configuration: context.serverConfiguration(handshake), handler: service)
    try server.start()
    let loops = EventLoops()
    let follower = BatchFollower(service: service)
    let peers = context.peers.map { address in
      Peer(
        configuration: context.peerConfiguration(address, .execution, handshake),
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

/// Follows execution's log. Waiting for room here is back pressure: the connection is not read.
final class BatchFollower: PeerHandler, Sendable {
  private let service: ClearingService

  init(service: ClearingService) { self.service = service }

  func connected(_ connection: Connection) {
    let message = FollowMessage(.batches, from: BatchNumber(service.wanted.raw))
    connection.send(type: MessageType.follow, requestID: 1, body: message.encoded)
  }

  func disconnected(_ connection: Connection) {}

  func received(_ frame: Frame, from connection: Connection) {
    guard frame.type == MessageType.batch else { return }
    do {
      let batch = try SignedBatch(encoded: frame.body.rawSpan)
      guard batch.header.network == service.context.network,
        SHA256.digest(batch.body) == batch.header.bodyHash,
        Ed25519.isValid(
          batch.signature, of: batch.header.id, by: service.context.genesis.execution.object)
      else {
        service.context.log.error("refused a batch", metadata: ["batch": "\(batch.header.batch)"])
        connection.close(error: ErrorMessage(.malformed, "the batch is not execution's"))
        return
      }
      if batch.header.batch.raw >= service.wanted.raw {
        service.pending.put(batch.header.batch.raw, frame.body)
      }
      service.box.waitForRoom()
      service.box.put(.batch(batch, encoded: frame.body))
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }
}
