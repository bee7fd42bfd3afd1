import Commitments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Settlement

/// One world for all rounds.
private let world: World = {
  do { return try World(seed: 0xF02D) } catch { preconditionFailure("\(error)") }
}()

/// A pre-state whose roots are right and whose records make no sense: what layers that lie together
/// could sign. A verifier says no, or finds the first batch that does not follow; it never stops.
@Suite("forged pre-states") struct ForgedStateTests {
  private static let first = 6
  /// Places of the two roots in a pre-state whose log has two full subtrees.
  private static let rootPlaces = (execution: 144, clearing: 176)

  /// Where the pools begin: behind the head and the Clearances not yet adopted.
  private static func poolStart(_ bytes: [UInt8]) -> Int {
    var place = rootPlaces.clearing + 32
    for _ in 0..<bytes.rawSpan.load(at: 4, as: UInt32.self) {
      place += ClearingHeader.byteCount
      place += 4 + Int(bytes.rawSpan.load(at: place, as: UInt32.self))
    }
    return place
  }

  /// The root that the machine found, from what it says.
  private static func root(in text: String) -> [UInt8]? {
    guard let range = text.firstRange(of: "stored state has root ") else { return nil }
    var bytes: [UInt8] = []
    var digits = text[range.upperBound...].prefix(64)
    while let pair = UInt8(digits.prefix(2), radix: 16) {
      bytes.append(pair)
      digits = digits.dropFirst(2)
    }
    return bytes.count == 32 ? bytes : nil
  }

  /// The replay that begins there once the head bears the pools' own roots; nil when it is refused.
  private static func resumed(_ forged: [UInt8]) -> [UInt8]? {
    var bytes = forged
    for _ in 0..<3 {
      do {
        _ = try Replay.resumed(genesis: world.genesis, snapshot: bytes)
        return bytes
      } catch {
        let text = "\(error)"
        guard let root = root(in: text) else { return nil }
        let place = text.contains("execution:") ? rootPlaces.execution : rootPlaces.clearing
        bytes.replaceSubrange(place..<(place + 32), with: root)
      }
    }
    return nil
  }

  @Test(
    "records that make no sense are refused, or fail in a batch, whatever root is signed over them",
    arguments: [0xF1, 0xF2, 0xF3, 0xF4] as [UInt64])
  func forged(seed: UInt64) throws {
    var random = Generator(seed: seed)
    let honest = try world.withReplay(Self.first) { $0.preState() }
    let start = Self.poolStart(honest)
    let whole = try #require(Self.resumed(honest))
    #expect(whole == honest)
    let words: [UInt64] = [
      .max, UInt64(Int64.max), 1 << 63, 0, 1, 2, 3, 7, 64, 1 << 31, 1 << 32, UInt64(UInt32.max),
    ]
    var begun = 0
    for round in 0..<1_500 {
      var bytes = honest
      for _ in 0...random.below(3) {
        let size = random.pick([1, 2, 4, 8])
        let place = start + random.below((bytes.count - start - 8) / 2) * 2
        let word = random.chance(60) ? random.pick(words) : UInt64(random.below(400))
        for offset in 0..<size {
          bytes[place + offset] = UInt8(truncatingIfNeeded: word >> UInt64(8 * offset))
        }
      }
      guard let forged = Self.resumed(bytes) else { continue }
      begun += 1
      var replay = try Replay.resumed(genesis: world.genesis, snapshot: forged)
      do throws(Difference) {
        for index in Self.first..<world.batches.count {
          try replay.apply(world.batches[index], world.clearances[index])
        }
      } catch {
        continue
      }
      // Nothing that any batch looks at was changed.
      #expect(replay.batch.raw == UInt64(world.batches.count), "seed \(seed), round \(round)")
    }
    #expect(begun > 50, "seed \(seed): only \(begun) forged states were begun")
  }
}
