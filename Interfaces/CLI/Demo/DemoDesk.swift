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

  private let genesis: Genesis
  private let network: Digest
  private let folder: NetworkFolder
  private let builder: GenesisBuilder
  private let connection: BlockingConnection
  private var nonces: [AccountID: UInt64] = [:]
  private(set) var tally = Tally()
  /// The highest batch an acknowledgement named.
  private(set) var newestBatch = BatchNumber(0)

  init(genesis: Genesis, builder: GenesisBuilder, folder: NetworkFolder, execution: String) throws {
    self.genesis = genesis
    network = genesis.networkID
    self.builder = builder
    self.folder = folder
    connection = try BlockingConnection(
      to: try Address(execution), network: network, role: .execution,
      key: genesis.execution.handshake)
  }

  private func role(of account: AccountID) -> KeyRole { builder.accountRoles[account.index] }

  /// Signs and sends; waits for every acknowledgement and checks the first of each answer.
  mutating func send(_ work: [(account: AccountID, actions: [Action])], at time: Timestamp) throws {
    let expiry = Timestamp(raw: time.raw + 12 * 3_600_000)
    var waiting = 0
    for (account, actions) in work {
      let key = try folder.key(role(of: account), expecting: genesis.accounts[account.index])
      var rest = actions[...]
      while !rest.isEmpty {
        let part = Array(rest.prefix(64))
        rest = rest.dropFirst(64)
        let nonce = nonces[account, default: 0] + 1
        nonces[account] = nonce
        let bundle = Bundle.signed(
          part, account: account, nonce: nonce, expiry: expiry, network: network, by: key)
        try connection.send(
          type: MessageType.submit, body: SubmitMessage(bundles: [bundle.bytes]).encoded)
        waiting += 1
        tally.bundles += 1
        tally.actions += part.count
        tally.orders += part.count { if case .place = $0 { true } else { false } }
      }
    }
    try connection.flush()
    while waiting > 0 {
      let frame = try connection.receive(timeoutMilliseconds: 60_000)
      if frame.type == SessionMessage.error { throw DemoFailure(try "\(connection.message(frame))") }
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
