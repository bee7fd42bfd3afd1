import Commitments
import Execution
import Node
import Primitives
import Synchronization
import Wire

/// A client's request and how many of its bundles are still unanswered.
final class Ticket: @unchecked Sendable {
  // Sound to share: the count is changed by the journal thread alone.
  let connection: Connection
  let requestID: UInt64
  var remaining: Int

  init(_ connection: Connection, _ requestID: UInt64, count: Int) {
    self.connection = connection
    self.requestID = requestID
    remaining = count
  }
}

/// One bundle as it came in.
struct Submission: Sendable {
  let ticket: Ticket
  let place: UInt32
  let bytes: [UInt8]
}

/// One bundle after the checks that need no state.
struct CheckedBundle: Sendable {
  let ticket: Ticket
  let place: UInt32
  /// Nil when it does not decode.
  let bundle: Bundle?
  let id: Digest
  let signature: SignatureState
  /// Of each block trade, whether its counterparty signed it; nil under a key not known here.
  let counterparties: [Bool?]

  /// What a worker made of the signature; it checks none of a key it does not know.
  enum SignatureState: Sendable {
    case valid
    case invalid
    case unchecked
  }
}

/// Keys good in the batch being made, so that no signature of an unknown key costs us a check. It
/// lags by at most a batch: the apply thread has the last word.
final class KnownKeys: Sendable {
  private struct Entry: Hashable {
    let account: AccountID
    let key: PublicKey
  }
  private let keys = Mutex<Set<Entry>>([])

  func insert(_ account: AccountID, _ key: PublicKey) {
    keys.withLock { _ = $0.insert(Entry(account: account, key: key)) }
  }

  func remove(_ account: AccountID, _ key: PublicKey) {
    keys.withLock { _ = $0.remove(Entry(account: account, key: key)) }
  }

  func contains(_ account: AccountID, _ key: PublicKey) -> Bool {
    keys.withLock { $0.contains(Entry(account: account, key: key)) }
  }
}

extension CheckedBundle {
  /// Decodes and checks the signatures; runs on worker threads. Each bad one is charged to the
  /// connection, and none is looked at for a connection that has used up its charge.
  init(_ submission: Submission, network: Digest, known: KnownKeys) {
    ticket = submission.ticket
    place = submission.place
    let connection = submission.ticket.connection
    var signature = SignatureState.unchecked
    var counterparties: [Bool?] = []
    do {
      let bundle = try Bundle(submission.bytes)
      let id = bundle.id(network: network)
      let (account, key) = (bundle.header.account, bundle.header.key)
      if connection.isOvercharged {
        signature = .invalid
      } else if known.contains(account, key) {
        signature = Ed25519.isValid(bundle.signature, of: id, by: key) ? .valid : .invalid
        if signature == .valid {
          counterparties = bundle.blockTrades.map {
            known.contains($0.counterparty.account, $0.counterparty.key)
              ? $0.isSigned(network: network) : nil
          }
        }
        let bad = counterparties.count { $0 == false } + (signature == .invalid ? 1 : 0)
        if bad > 0 { connection.charge(badSignatures: bad) }
      }
      self.bundle = bundle
      self.id = id
    } catch {
      bundle = nil
      id = .zero
    }
    self.signature = signature
    self.counterparties = counterparties
  }
}
