public import Commitments
public import Primitives
import Synchronization

/// A signing key several threads use.
public final class SharedKey: Sendable {
  private let key: SigningKey
  public init(_ key: consuming SigningKey) { self.key = key }
  public func sign(_ id: Digest) -> Signature { key.sign(id) }
  /// Lends the key itself, for notes.
  public func withKey<R>(_ body: (borrowing SigningKey) -> R) -> R { body(key) }
}

/// The next batch a layer wants of another's log; read when a connection comes up again.
public final class NextBatch: Sendable {
  private let value: Atomic<UInt64>
  public init(_ batch: UInt64) { value = Atomic(batch) }
  public func set(_ batch: UInt64) { value.store(batch, ordering: .relaxed) }
  public var raw: UInt64 { value.load(ordering: .relaxed) }
}
