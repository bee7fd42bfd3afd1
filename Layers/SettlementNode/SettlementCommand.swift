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
    let isWitness = context.role == .witness
    guard context.peers.count == (isWitness ? 3 : 2) else {
      throw NodeFailure.configuration(
        isWitness
          ? "--peer: expected three (execution, clearing, settlement), found \(context.peers.count)"
          : "--peer: expected two (execution, then clearing), found \(context.peers.count)")
    }
    let keys = try SettlementKeys(context)
    let keeper = try context.openState()
    try acceptRefusal(context, keeper)
    let handshake = try SettlementKeys.handshake(context)
    guard
      try Recovery.run(
        context, keeper, handshake: handshake, isStopping: { stopping.count > 0 },
        layer: { try SettlementRecovery(context: context, keeper: keeper) })
    else { return }
    let service = try SettlementService(
      context: context, keeper: keeper, book: try SettlementBook.load(context, keeper), keys: keys)
    let server = Server(
      configuration: context.serverConfiguration(handshake), handler: service)
    try server.start()
    // A loop each: waiting for room on one must not hold the others back.
    let loops = context.peers.map { _ in EventLoops() }
    func peer(_ place: Int, _ role: Role, _ handler: any PeerHandler) -> Peer {
      var configuration = context.peerConfiguration(context.peers[place], role, handshake)
      if isWitness {
        // To the layers a witness is anybody: what it says is a signed line.
        configuration.role = .client
        configuration.key = nil
      }
      return Peer(configuration: configuration, handler: handler, loops: loops[place])
    }
    let followers = [
      LogFollower(service: service, log: .batches),
      LogFollower(service: service, log: .clearances),
    ]
    service.follow(by: followers)
    var peers = [
      peer(0, .execution, followers[0]), peer(1, .clearing, followers[1]),
    ]
    if let witness = service.witness { peers.append(peer(2, .settlement, witness)) }
    for peer in peers { peer.start() }
    let page = try context.servePage(server) {
      service.refusal.map { "frozen: \($0)" }
        ?? (service.degraded.isSet ? "degraded: the disk is full" : nil)
    }
    LayerContext.announce(server.address ?? context.listen)
    _ = stopping.takeAll()
    page?.stop()
    context.endIfDegraded(service.degraded)
    for peer in peers { peer.stop() }
    server.stop()
    service.stop()
    for loop in loops { loop.stop() }
    context.log.notice("stopped")
  }

  /// A folder that holds a refusal signs nothing else, ever: a restored one need not ask anybody.
  private func acceptRefusal(_ context: LayerContext, _ keeper: StateKeeper) throws {
    guard keeper.isRecovering else { return }
    let next = try keeper.store.head().map { $0.seq + 1 } ?? 0
    guard let bytes = try keeper.store.value(.evidence, next) else { return }
    let refusal = try StoredRefusal(encoded: bytes)
    try keeper.finishRecovery(refusal.frozen.batch, refusal.frozen.id)
  }
}
