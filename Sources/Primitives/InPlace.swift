import Synchronization

/// A field that keeps a large noncopyable struct in memory.
///
/// A struct whose fields all fit in registers is a value to the compiler, and its ownership checker
/// takes such a value apart, leaf by leaf, wherever it is read. For a machine of thirty pools that
/// is minutes of compile time. An atomic has an address, so what holds one is read in place.
public struct InPlace: ~Copyable, Sendable {
  private let anchor = Atomic<UInt8>(0)

  public init() {}
}
