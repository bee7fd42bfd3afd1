public import CMemory

/// Flat memory for state that is derived from pools: plain values in a row, one owner, no reference
/// counting and no copy on write. It grows by an eighth, so that little of it lies idle.
@safe public struct FlatArray<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<Element>
  @usableFromInline var capacity: Int
  @usableFromInline var held: Int

  @inlinable public var count: Int { held }

  public init() { self.init(repeating: nil, count: 0) }

  public init(repeating value: Element, count: Int) {
    self.init(repeating: Optional(value), count: count)
  }

  private init(repeating value: Element?, count: Int) {
    held = count
    capacity = max(count, 1)
    unsafe base = .allocate(capacity: capacity)
    unsafe HugePages.ask(base, count: capacity)
    if let value { unsafe base.initialize(repeating: value, count: count) }
  }

  deinit { unsafe base.deallocate() }

  @inlinable public subscript(index: Int) -> Element {
    @inline(__always) get {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: held))
      return unsafe base[index]
    }
    @inline(__always) _modify {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: held))
      yield unsafe &base[index]
    }
  }

  /// Asks the processor for an element that will be read soon.
  @inlinable @inline(__always) public func prefetch(_ index: Int) {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: held))
    unsafe novate_prefetch(base + index)
  }

  @inlinable public mutating func append(_ element: Element) {
    if held == capacity { grow() }
    unsafe (base + held).initialize(to: element)
    held &+= 1
  }

  @usableFromInline mutating func grow() {
    let newCapacity = capacity + max(16, capacity / 8)
    let newBase = UnsafeMutablePointer<Element>.allocate(capacity: newCapacity)
    unsafe HugePages.ask(newBase, count: newCapacity)
    unsafe newBase.update(from: base, count: held)
    unsafe base.deallocate()
    unsafe base = newBase
    capacity = newCapacity
  }

  /// Memory held, in bytes.
  public var byteCount: Int { capacity * MemoryLayout<Element>.stride }
}

extension Array {
  /// Asks the processor for an element that will be read soon.
  @inlinable @inline(__always) public func prefetch(_ index: Int) {
    precondition(indices.contains(index))
    let offset = index * MemoryLayout<Element>.stride
    unsafe withUnsafeBytes {
      unsafe novate_prefetch($0.baseAddress.map { unsafe $0 + offset })
    }
  }
}
