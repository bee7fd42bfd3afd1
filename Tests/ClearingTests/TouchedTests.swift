import TestSupport
import Testing

@testable import Clearing

@Suite("What a batch touched, in order") struct TouchedTests {
  @Test("keys by digits are in the order of a plain sort", arguments: [1, 2, 3, 4] as [UInt64])
  func order(seed: UInt64) {
    var random = Generator(seed: seed)
    for count in [0, 1, 2, 255, 256, 257, 300, 5_000, 20_000] {
      for mask: UInt64 in [
        .max, 0, 1, 0x7ff, 0x800, 0xffff_ffff, 0x000f_ffff_0000_0003, 0x8000_0000_0000_0001,
      ] {
        let keys = (0..<count).map { _ in random.next() & mask | 0x40 }
        let plain = keys.sorted()
        #expect(keys.inOrder == plain, "seed \(seed), \(count) keys of \(mask)")
        var once: [UInt64] = []
        for key in plain where once.last != key { once.append(key) }
        #expect(keys.sortedOnce() == once, "seed \(seed), \(count) keys of \(mask)")
      }
    }
  }
}
