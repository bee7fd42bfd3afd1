import ArgumentParser
import Logging
import Node
import Primitives
import Settlement
import Storage
import Wire

/// `novate-settlement`: recomputes what the other two claim and signs checkpoints over it.
@main struct SettlementCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate-settlement",
    abstract: "Replays execution and clearing, checks every signature and root, signs checkpoints.",
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
      role: .settlement, options: options, defaultPort: 7703, defaultPeers: [7701, 7702])
    guard context.peers.count == 2 else {
      throw NodeFailure.configuration(
        "--peer: expected two (execution, then clearing), found \(context.peers.count)")
    }
    let keeper = try context.openState()
    guard keeper.standing == .consistent else {
      throw NodeFailure.state(
        "this folder was restored or is behind what it signed: \(keeper.standing)")
    }
    let service = try SettlementService(
      context: context, keeper: keeper, start: try SettlementStart.load(context, keeper))
    let handshake = HandshakeKey(
      try context.key("settlement-handshake", expecting: context.genesis.settlement.handshake))
    let server = Server(
      configuration: context.serverConfiguration(handshake), handler: service)
    try server.start()
    // A loop each: waiting for room on one must not hold the other back.
    let loops = [EventLoops(), EventLoops()]
    let peers = [
      Peer(
        configuration: context.peerConfiguration(context.peers[0], .execution, handshake),
        handler: LogFollower(service: service, log: .batches), loops: loops[0]),
      Peer(
        configuration: context.peerConfiguration(context.peers[1], .clearing, handshake),
        handler: LogFollower(service: service, log: .clearances), loops: loops[1]),
    ]
    for peer in peers { peer.start() }
    let page = try context.servePage(server) {
      service.degraded.isSet ? "degraded: the disk is full" : nil
    }
    LayerContext.announce(server.address ?? context.listen)
    _ = stopping.takeAll()
    page?.stop()
    for peer in peers { peer.stop() }
    server.stop()
    service.stop()
    for loop in loops { loop.stop() }
    context.log.notice("stopped")
  }
}

/// Follows one of the two logs. Waiting for room here is back pressure: the connection is not read.
final class LogFollower: PeerHandler, Sendable {
  private let service: SettlementService
  private let log: FollowMessage.Log

  init(service: SettlementService, log: FollowMessage.Log) {
    self.service = service
    self.log = log
  }

  func connected(_ connection: Connection) {
    let message = FollowMessage(log, from: BatchNumber(service.wanted.raw))
    connection.send(type: MessageType.follow, requestID: 1, body: message.encoded)
  }

  func disconnected(_ connection: Connection) {}

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch (frame.type, log) {
      case (MessageType.batch, .batches):
        service.take(try SignedBatch(encoded: frame.body.rawSpan), frame.body)
      case (MessageType.clearance, .clearances):
        let clearance = try SignedClearance(encoded: frame.body.rawSpan)
        service.box.waitForRoom()
        service.box.put(.clearance(clearance, encoded: frame.body))
      default:
        break
      }
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }
}
