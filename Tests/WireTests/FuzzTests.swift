import Commitments
import Glibc
import Primitives
import TestSupport
import Testing

@testable import Wire

/// Damage as wires, disks and enemies do it.
struct Damage {
  var random: Generator

  /// `sample` with one to four faults: a flipped bit, a byte, a count of the largest size, a piece
  /// cut out, doubled, or taken from another sample.
  mutating func done(to sample: [UInt8], beside others: [Sample]) -> [UInt8] {
    var bytes = sample
    for _ in 0...random.below(4) {
      guard !bytes.isEmpty else { return bytes }
      let place = random.below(bytes.count)
      let length = min(1 + random.below(96), bytes.count - place)
      switch random.below(8) {
      case 0: bytes[place] ^= 1 << UInt8(random.below(8))
      case 1: bytes[place] = UInt8(truncatingIfNeeded: random.next())
      case 2, 3:
        let words: [UInt32] = [.max, 0, 1, 0x7FFF_FFFF, 0x8000_0000, 65_536, 4_097]
        let word = random.pick(words)
        for offset in 0..<min(4, bytes.count - place) {
          bytes[place + offset] = UInt8(truncatingIfNeeded: word >> UInt32(8 * offset))
        }
      case 4: bytes.removeSubrange(place..<(place + length))
      case 5: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
      case 6:
        let other = random.pick(others).bytes
        let start = random.below(other.count)
        let piece = other[start..<min(start + length, other.count)]
        bytes.replaceSubrange(place..<(place + length), with: piece)
      default: bytes.removeLast(length)
      }
    }
    return bytes
  }

  mutating func noise(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }
}

/// Everything that reads bytes from outside, over damaged samples and noise. A read past the end
/// stops the process; what is read must be written back as it came.
@Suite("Fuzz") struct FuzzTests {
  static let seeds: [UInt64] = [0xF0_01, 0xF0_02, 0xF0_03, 0xF0_04]

  /// The first sample that was read and written otherwise, or nil.
  static func fault(seed: UInt64, rounds: Int) -> String? {
    var damage = Damage(random: Generator(seed: seed))
    for round in 0..<rounds {
      let sample = damage.random.pick(Sample.everything)
      let bytes =
        damage.random.chance(85)
        ? damage.done(to: sample.bytes, beside: Sample.everything)
        : damage.noise(damage.random.below(600))
      if let again = try? sample.again(bytes), again != bytes {
        return "seed \(seed), round \(round): \(sample.name) was read and written otherwise"
      }
    }
    return nil
  }

  @Test("damaged samples and noise are refused, or read as they are", arguments: seeds)
  func samples(seed: UInt64) {
    #expect(FuzzTests.fault(seed: seed, rounds: 20_000) == nil)
  }

  @Test("no announced size costs more memory than the bytes that came")
  func memory() async {
    await #expect(processExitsWith: .success) {
      _ = Sample.everything.count
      // Past it every allocation fails and the process stops.
      var limit = rlimit()
      precondition(unsafe getrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit) == 0)
      limit.rlim_cur = rlim_t(FuzzTests.dataByteCount() + 48 << 20)
      precondition(unsafe setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit) == 0)
      precondition(FuzzTests.fault(seed: 0xF0_05, rounds: 20_000) == nil)
      for sample in Sample.everything {
        for place in 0..<max(0, sample.bytes.count - 4) {
          var bytes = sample.bytes
          for offset in 0..<4 { bytes[place + offset] = 0xFF }
          _ = try? sample.again(bytes)
        }
      }
    }
  }

  /// Data the process holds now, in bytes.
  private static func dataByteCount() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 1 << 30 }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard unsafe fgets(&line, 256, file) != nil else { return 1 << 30 }
    let text = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    // size resident shared text lib data dt, in pages
    let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
    return (fields.count > 5 ? Int(fields[5]) ?? 1 << 18 : 1 << 18) * 4_096
  }

  @Test("a stream of frames with damage in it stops at its first bad frame", arguments: seeds)
  func frames(seed: UInt64) {
    var damage = Damage(random: Generator(seed: seed))
    var encoder = FrameEncoder(network: Sample.network)
    var writer = ByteWriter()
    for sample in Sample.everything.prefix(12) {
      encoder.encode(Frame(type: 16, requestID: 1, body: sample.bytes), into: &writer)
    }
    for round in 0..<2_000 {
      let bytes = damage.done(to: writer.bytes, beside: Sample.everything)
      var decoder = FrameDecoder(network: Sample.network)
      var frames: [Frame] = []
      var isRefused = false
      do throws(FrameFailure) {
        try decoder.push(bytes.rawSpan, into: &frames)
      } catch {
        isRefused = true
      }
      let isWhole = frames.count == 12 && !decoder.isMidFrame
      #expect(
        isRefused || !isWhole || bytes == writer.bytes,
        "seed \(seed), round \(round): damage passed for a whole stream")
      for (frame, sample) in zip(frames, Sample.everything) {
        #expect(frame.body == sample.bytes, "seed \(seed), round \(round)")
      }
    }
  }

  @Test("damaged text of every kind is refused, or written back as it came", arguments: seeds)
  func texts(seed: UInt64) {
    var damage = Damage(random: Generator(seed: seed))
    let genesis = Array(TestWorld.genesis(clients: 1).json.utf8)
    let json = Array(#"{"a":[1,-2,true,null,"x\u00e9\n"],"b":{"c":"1.50"},"d":[]}"#.utf8)
    for round in 0..<3_000 {
      let changed = damage.done(to: genesis, beside: Sample.everything)
      do throws(GenesisFailure) {
        let read = try Genesis(json: changed)
        #expect(Array(read.json.utf8) == changed, "seed \(seed), round \(round)")
      } catch {}
      let value = damage.done(to: json, beside: Sample.everything)
      if let parsed = try? JSONValue.parse(value) {
        let text = parsed.text()
        let again = try? JSONValue.parse(text)
        #expect(again?.text() == text, "seed \(seed), round \(round)")
      }
      let figures = damage.done(to: Array("-123456789.0123".utf8), beside: Sample.everything)
      let figure = String(decoding: figures, as: UTF8.self)
      if let price = try? Price(decimal: figure) {
        let again = try? Price(decimal: price.decimal)
        #expect(again == price, "seed \(seed), round \(round): \(figure)")
      }
      if let address = try? Address(String(decoding: damage.noise(12), as: UTF8.self)) {
        let again = try? Address("\(address)")
        #expect(again == address)
      }
    }
  }
}

@Suite("Account proofs") struct AccountProofTests {
  private func list(_ tag: ObjectTag, _ count: UInt32, _ entries: [[UInt8]]) -> [UInt8] {
    var out = ByteWriter()
    out.write(tag.bytes)
    out.write(count)
    for entry in entries { out.write(entry) }
    return out.bytes
  }

  private func position(_ instrument: UInt8) -> [UInt8] {
    [instrument] + [UInt8](repeating: 0, count: 43)
  }

  private func balance(_ asset: UInt8) -> [UInt8] { [asset] + [UInt8](repeating: 0, count: 9) }

  @Test("disclosed lists that are none are refused, though their hashes stand under the root")
  func lists() {
    let (positions, balances) = (AccountProof.positionsTag, AccountProof.balancesTag)
    #expect(Sample.accountProof().stateRoot != nil)
    #expect(Sample.accountProof(positions: [], balances: []).stateRoot != nil)
    let two = list(positions, 2, [position(1), position(4)])
    #expect(Sample.accountProof(positions: two).stateRoot != nil)
    for bad in [
      [1], list(positions, 0, []), list(balances, 1, [position(1)]),
      list("novate/bundle/1", 1, [position(1)]), list(positions, 2, [position(1)]),
      list(positions, 1, [position(1), position(4)]), list(positions, 1, [position(1) + [0]]),
      list(positions, 2, [position(4), position(1)]),
      list(positions, 2, [position(1), position(1)]),
      list(positions, .max, [position(1)]), Array(two.dropLast()),
    ] {
      #expect(Sample.accountProof(positions: bad).stateRoot == nil, "\(bad)")
    }
    #expect(
      Sample.accountProof(balances: list(balances, 2, [balance(1), balance(2)])).stateRoot != nil)
    for bad in [
      list(positions, 1, [balance(1)]), list(balances, 1, [position(1)]),
      list(balances, 2, [balance(2), balance(1)]), list(balances, 2, [balance(1), balance(1)]),
    ] {
      #expect(Sample.accountProof(balances: bad).stateRoot == nil, "\(bad)")
    }
  }
}
