import Client
import Commitments
import Primitives
import Wire

/// Everybody's desk in a demo: signs bundles of actions for any account and counts what became of
/// them.
struct DemoDesk: ~Copyable {
  struct Tally {
    var bundles = 0
    var orders = 0
    var actions = 0
    var rejected: [UInt16: Int] = [:]
    var refused: [UInt16: Int] = [:]
    var acknowledgementsChecked = 0
  }

  /// A bundle is good for half a day of the tape.
  private static let bundleLife: Int64 = 12 * 3_600_000

  private let genesis: Genesis
  private let network: Digest
  private let keys: AccountKeys
  private let connection: BlockingConnection
  private var nonces: [AccountID: UInt64] = [:]
  private(set) var tally = Tally()
  /// The highest batch an acknowledgement named.
  private(set) var newestBatch = BatchNumber(0)

  init(genesis: Genesis, folder: NetworkFolder, execution: String) throws {
    let network = genesis.networkID
    let keys = try AccountKeys(folder, genesis: genesis)
    let connection = try BlockingConnection(
      to: try Address(execution), network: network, role: .execution,
      key: genesis.execution.handshake)
    self.genesis = genesis
    self.network = network
    self.keys = keys
    self.connection = connection
  }

  private mutating func nextNonce(of account: AccountID) -> UInt64 {
    let nonce = nonces[account, default: 0] + 1
    nonces[account] = nonce
    return nonce
  }

  /// A block trade as its buyer sends it, with the seller's signature inside.
  mutating func trade(_ block: DemoPlay.Block, at time: Timestamp) throws -> Action {
    .block(
      BlockTrade.signed(
        instrument: block.instrument, side: .buy, price: block.price, quantity: block.quantity,
        reference: 1, counterparty: block.seller, nonce: nextNonce(of: block.seller),
        expiry: Timestamp(raw: time.raw + DemoDesk.bundleLife), network: network,
        by: try keys.key(of: block.seller).key))
  }

  /// Signs and sends; waits for every acknowledgement and checks the first of each answer.
  mutating func send(_ work: DemoPlay.Work, at time: Timestamp) throws {
    let expiry = Timestamp(raw: time.raw + DemoDesk.bundleLife)
    var waiting = 0
    for (account, actions) in work {
      let held = try keys.key(of: account)
      var rest = actions[...]
      while !rest.isEmpty {
        let part = Array(rest.prefix(64))
        rest = rest.dropFirst(64)
        let bundle = Bundle.signed(
          part, account: account, nonce: nextNonce(of: account), expiry: expiry,
          network: network, by: held.key)
        try connection.send(
          type: MessageType.submit, body: SubmitMessage(bundles: [bundle.bytes]).encoded)
        waiting += 1
        tally.bundles += 1
        tally.actions += part.count
        for action in part {
          if case .order = action { tally.orders += 1 }
        }
      }
    }
    try connection.flush()
    while waiting > 0 {
      let frame = try connection.receive(timeoutMilliseconds: 60_000)
      if frame.type == SessionMessage.error {
        throw DemoFailure(try "\(connection.message(frame))")
      }
      guard frame.type == MessageType.submitted else { continue }
      let body = frame.body
      let answer = try SubmittedMessage(decoding: body.rawSpan)
      try take(answer)
      waiting -= answer.accepted.count + answer.refused.count
    }
  }

  private mutating func take(_ answer: SubmittedMessage) throws {
    if let first = answer.accepted.first {
      let signed = SignedAcknowledgement(
        group: answer.group, signature: answer.signature, place: first.place, path: first.path,
        leaf: first.leaf)
      guard signed.isValid(by: genesis.execution.object, network: network) else {
        throw DemoFailure("an acknowledgement is not execution's")
      }
      tally.acknowledgementsChecked += 1
    }
    for item in answer.accepted {
      newestBatch = max(newestBatch, item.leaf.batch)
      for outcome in item.leaf.outcomes where outcome.status == .rejected {
        tally.rejected[outcome.code, default: 0] += 1
      }
    }
    for item in answer.refused { tally.refused[item.code, default: 0] += 1 }
  }

  /// Waits until execution has adopted clearing's word on `batch`: what an oracle update or a
  /// deposit there changed is then in force.
  mutating func waitForCredit(of batch: BatchNumber) throws {
    for _ in 0..<4_000 {
      let status = try DemoQuery.status(connection)
      if let credit = try status.optionalInteger(at: "credit_batch", as: UInt64.self),
        credit >= batch.raw
      {
        return
      }
      DemoQuery.pause(milliseconds: 5)
    }
    throw DemoFailure("clearing's word on batch \(batch) was not adopted within 20 s")
  }
}

struct DemoFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
