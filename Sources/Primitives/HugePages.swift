import CMemory

/// Large flat memory is read at random, and a processor remembers where a few thousand pages lie: with
/// pages of 4 KiB nearly every access to 32 MiB first walks the page table, with pages of 2 MiB none.
public enum HugePages {
  /// Less is not worth a page of 2 MiB.
  public static let byteCountMin = 4 << 20

  /// Asks for huge pages behind memory of so many bytes, just allocated and not yet written. A hint,
  /// which changes nothing that anybody can see but the time it takes.
  @usableFromInline static func ask(_ memory: UnsafeMutableRawPointer, byteCount: Int) {
    guard byteCount >= byteCountMin else { return }
    unsafe novate_ask_huge_pages(memory, byteCount)
  }

  /// As above, for elements.
  public static func ask<Element>(_ memory: UnsafeMutablePointer<Element>, count: Int) {
    unsafe ask(UnsafeMutableRawPointer(memory), byteCount: count * MemoryLayout<Element>.stride)
  }

  /// As above, for what an array has reserved; call it after the reservation.
  public static func ask<Element>(_ array: inout [Element]) {
    let byteCount = array.capacity * MemoryLayout<Element>.stride
    guard byteCount >= byteCountMin else { return }
    unsafe array.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { unsafe ask(base, byteCount: byteCount) }
    }
  }
}
