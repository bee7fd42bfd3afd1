import Commitments
import Glibc
import Primitives
public import Wire

/// What became of a bundle that was sent.
public enum BundleResult: Sendable {
  /// In the log; execution's signature has been checked.
  case acknowledged(SignedAcknowledgement)
  case refused(Refusal, Int64, Int64)
  /// No answer came.
  case unanswered(ClientFailure, wasSent: Bool)
}

/// Sends bundles to execution with several requests under way, and gives their results in the order
/// of the bundles.
///
/// After a lost connection it connects again and sends the same bytes again: execution answers a
/// bundle it has with the first acknowledgement, so nothing happens twice. What execution refuses
/// for the moment is sent again too, which may put it behind bundles that came after it.
public final class BundleSender {
  /// Bundles on their way at once.
  public static let windowCount = 1_024
  /// Bundles in one request.
  public static let requestCount = 32
  /// Execution accepts nonces this far below a key's highest.
  public static let nonceSpan: UInt64 = 64

  private struct Slot {
    var bundle: Bundle
    let id: Digest
    var isSent = false
    /// Whether a request that holds it is under way.
    var isAway = false
    var result: BundleResult?
  }

  private struct KeyName: Hashable {
    let account: AccountID
    let key: PublicKey
    init(_ header: BundleHeader) {
      account = header.account
      key = header.key
    }
  }

  private let address: Address
  private let genesis: Genesis
  private let patienceMilliseconds: Int
  private var client: LayerClient
  /// Bundles not yet given back, the first of them number `first`.
  private var slots: [Slot] = []
  private var first = 0
  private var requests: [UInt64: [Int]] = [:]
  /// Nonces without a result, rising, of each key.
  private var openNonces: [KeyName: [UInt64]] = [:]
  /// A bundle that waits for room.
  private var held: Bundle?
  private var isDrained = false
  /// When something last got a result.
  private var progressTime = Deadline.now
  private var pauseEnd = 0
  private var pause = 0

  /// - Parameters:
  ///   - client: a connection to execution.
  ///   - patienceMilliseconds: how long it tries again without a single result.
  public init(_ client: LayerClient, patienceMilliseconds: Int = 30_000) {
    self.client = client
    address = client.address
    genesis = client.genesis
    self.patienceMilliseconds = patienceMilliseconds
  }

  /// Sends all bundles.
  /// - Parameters:
  ///   - next: the next bundle, nil at the end; nonces of a key rise.
  ///   - result: called once for each, in the same order.
  /// - Throws: `ClientFailure` for an answer that execution may not give, and what the closures throw.
  public func run(
    next: () throws -> Bundle?, result: (Bundle, BundleResult) throws -> Void
  ) throws {
    progressTime = Deadline.now
    while true {
      try fill(next)
      if slots.isEmpty { return }
      do throws(ClientFailure) {
        try send()
        try receive()
      } catch {
        guard error.isRetryable else { throw error }
        connectAgain(after: error)
      }
      try deliver(result)
    }
  }

  /// Takes bundles while there is room.
  private func fill(_ next: () throws -> Bundle?) throws {
    while slots.count < BundleSender.windowCount, !isDrained {
      guard let bundle = try held ?? next() else {
        isDrained = true
        return
      }
      let name = KeyName(bundle.header)
      if let lowest = openNonces[name]?.first, bundle.header.nonce >= lowest,
        bundle.header.nonce - lowest >= BundleSender.nonceSpan
      {
        held = bundle
        return
      }
      held = nil
      openNonces[name, default: []].append(bundle.header.nonce)
      slots.append(Slot(bundle: bundle, id: bundle.id(network: client.network)))
    }
  }

  /// Sends what waits, unless execution asked for a pause.
  private func send() throws(ClientFailure) {
    guard Deadline.now >= pauseEnd else { return }
    var chunk: [Int] = []
    var byteCount = 4
    for place in slots.indices where !slots[place].isAway && slots[place].result == nil {
      let size = slots[place].bundle.bytes.count + 4
      if chunk.count == BundleSender.requestCount
        || byteCount + size > client.connection.session.frameLimit
      {
        try send(chunk)
        chunk.removeAll(keepingCapacity: true)
        byteCount = 4
      }
      chunk.append(place)
      byteCount += size
    }
    if !chunk.isEmpty { try send(chunk) }
    try client.connection.flush()
  }

  private func send(_ places: [Int]) throws(ClientFailure) {
    // It may have left even if sending fails.
    for place in places {
      slots[place].isSent = true
      slots[place].isAway = true
    }
    let message = SubmitMessage(bundles: places.map { slots[$0].bundle.bytes })
    let id = try client.connection.send(type: MessageType.submit, body: message.encoded)
    requests[id] = places.map { $0 + first }
  }

  /// Takes one frame, or waits out a pause.
  private func receive() throws(ClientFailure) {
    let rest = pauseEnd - Deadline.now
    if requests.isEmpty {
      if rest > 0 { _ = usleep(UInt32(rest) * 1_000) }
      return checkPatience()
    }
    do throws(ClientFailure) {
      try take(
        try client.connection.receive(
          timeoutMilliseconds: rest > 0 ? rest : patienceMilliseconds))
    } catch {
      if case .timeout = error, rest > 0 { return checkPatience() }
      throw error
    }
  }

  private func take(_ frame: Frame) throws(ClientFailure) {
    guard let places = requests[frame.requestID] else { return }
    if frame.type == SessionMessage.error {
      let message = try client.connection.message(frame)
      guard message.isRetryable else { throw .refused(address, message) }
      requests[frame.requestID] = nil
      for number in places where number >= first { slots[number - first].isAway = false }
      return holdOff()
    }
    guard frame.type == MessageType.submitted else {
      throw .answer(
        address, expected: "message type \(MessageType.submitted)", found: "\(frame.type)")
    }
    let message: SubmittedMessage
    do throws(DecodingFailure) {
      message = try SubmittedMessage(decoding: frame.body.rawSpan)
    } catch {
      throw .answer(address, expected: "results of bundles", found: "\(error)")
    }
    if !frame.flags.contains(.more) { requests[frame.requestID] = nil }
    for item in message.accepted {
      try settle(
        try place(item.submission, places), .acknowledged(SignedAcknowledgement(message, item)))
    }
    for item in message.refused { try take(item, at: try place(item.submission, places)) }
  }

  private func take(_ item: SubmittedMessage.Refused, at place: Int) throws(ClientFailure) {
    guard let refusal = item.refusal else {
      throw .answer(address, expected: "a refusal's code", found: "\(item.code)")
    }
    if refusal.isRetryable, Deadline.now - progressTime < patienceMilliseconds {
      slots[place].isAway = false
      return holdOff()
    }
    try settle(place, .refused(refusal, item.figure1, item.figure2))
  }

  private func place(_ submission: UInt32, _ places: [Int]) throws(ClientFailure) -> Int {
    guard submission < places.count, places[Int(submission)] >= first else {
      throw .answer(
        address, expected: "a result of \(places.count) bundles", found: "number \(submission)")
    }
    return places[Int(submission)] - first
  }

  private func settle(_ place: Int, _ result: BundleResult) throws(ClientFailure) {
    guard slots[place].result == nil else { return }
    if case .acknowledged(let acknowledgement) = result {
      guard acknowledgement.leaf.bundle == slots[place].id,
        acknowledgement.leaf.outcomes.count == Int(slots[place].bundle.header.actionCount),
        acknowledgement.isValid(by: genesis.execution.object, network: client.network)
      else {
        throw .answer(
          address, expected: "an acknowledgement of \(slots[place].id) that execution signed",
          found: "one of \(acknowledgement.leaf.bundle) that does not hold")
      }
    }
    slots[place].result = result
    slots[place].isAway = false
    progressTime = Deadline.now
    pause = 0
    let name = KeyName(slots[place].bundle.header)
    let nonce = slots[place].bundle.header.nonce
    if let index = openNonces[name]?.firstIndex(of: nonce) { openNonces[name]?.remove(at: index) }
  }

  /// Gives back what has a result and nothing before it without one.
  private func deliver(_ result: (Bundle, BundleResult) throws -> Void) throws {
    var count = 0
    while count < slots.count, let what = slots[count].result {
      try result(slots[count].bundle, what)
      count += 1
    }
    slots.removeFirst(count)
    first += count
  }

  // MARK: - Trying again

  private func holdOff() {
    if pauseEnd > Deadline.now { return }
    pause = min(max(10, pause * 2), 500)
    pauseEnd = Deadline.now + pause
  }

  private func checkPatience() {
    guard Deadline.now - progressTime >= patienceMilliseconds else { return }
    giveUp(
      .timeout(address, awaited: "room at execution", milliseconds: patienceMilliseconds))
  }

  private func connectAgain(after failure: ClientFailure) {
    requests.removeAll()
    for place in slots.indices { slots[place].isAway = false }
    var last = failure
    var wait: UInt32 = 50
    while Deadline.now - progressTime < patienceMilliseconds {
      do throws(ClientFailure) {
        client = try LayerClient(to: address, .execution, genesis: genesis)
        return
      } catch {
        last = error
        guard error.isRetryable else { break }
        _ = usleep(wait * 1_000)
        wait = min(wait * 2, 1_000)
      }
    }
    giveUp(last)
  }

  /// What has no result gets none any more; nothing else is sent.
  private func giveUp(_ failure: ClientFailure) {
    for place in slots.indices where slots[place].result == nil {
      slots[place].result = .unanswered(failure, wasSent: slots[place].isSent)
    }
    requests.removeAll()
    openNonces.removeAll()
  }
}

extension SignedAcknowledgement {
  /// The evidence that one item of an answer carries.
  public init(_ message: SubmittedMessage, _ item: SubmittedMessage.Accepted) {
    self.init(
      group: message.group, signature: message.signature, place: item.place, path: item.path,
      leaf: item.leaf)
  }
}
