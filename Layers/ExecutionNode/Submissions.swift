import Commitments
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

  func contains(_ account: AccountID, _ key: PublicKey) -> Bool {
    keys.withLock { $0.contains(Entry(account: account, key: key)) }
  }
}

extension CheckedBundle {
  /// Decodes and checks the signature; runs on worker threads.
  init(_ submission: Submission, network: Digest, known: KnownKeys) {
    ticket = submission.ticket
    place = submission.place
    do {
      let bundle = try Bundle(submission.bytes)
      self.bundle = bundle
      id = bundle.id(network: network)
      if known.contains(bundle.header.account, bundle.header.key) {
        signature =
          Ed25519.isValid(bundle.signature, of: id, by: bundle.header.key) ? .valid : .invalid
      } else {
        signature = .unchecked
      }
    } catch {
      bundle = nil
      id = .zero
      signature = .unchecked
    }
  }
}
