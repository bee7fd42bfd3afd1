import Client
import Primitives
import Testing
import Wire

/// Submit files as people and enemies write them: every line is an action a bundle may hold, or a
/// failure with its number.
@Suite("Fuzz") struct FuzzTests {
  @Test(
    "a damaged submit file gives good actions and named failures",
    arguments: [0xA1, 0xA2, 0xA3] as [UInt64])
  func lines(seed: UInt64) throws {
    var state = seed
    func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    let genesis = try seededGenesis()
    let rows = SubmissionTests.rows.map { #"{"account":"7","id":"x",\#($0.fields)}"# }
    var good = 0
    for round in 0..<600 {
      var bytes: [UInt8] = []
      var lineCount = 0
      for _ in 0..<4 {
        bytes += Array(rows[below(rows.count)].utf8) + [UInt8(ascii: "\n")]
        lineCount += 1
      }
      for _ in 0...below(4) {
        let place = below(bytes.count)
        switch below(4) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
        case 1: bytes[place] ^= 1 << UInt8(below(8))
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(30)))
        default:
          bytes.replaceSubrange(
            place..<place, with: Array(["9", "-", "\"", "1e999", "{", "\\u0000"][below(6)].utf8))
        }
        if bytes.isEmpty { break }
      }
      let results = Array(SubmissionReader(bytes, genesis: genesis))
      #expect(
        results.count <= bytes.count { $0 == UInt8(ascii: "\n") } + 1,
        "seed \(seed), round \(round)")
      for result in results {
        switch result {
        case .success(let submission):
          good += 1
          guard case .action(let action, _, _) = submission.content else { continue }
          #expect(throws: Never.self, "seed \(seed), round \(round)") { try action.validate() }
        case .failure(let failure):
          #expect(
            failure.line >= 1 && failure.text.utf8.count <= 800, "seed \(seed), round \(round)")
        }
      }
    }
    #expect(good > 300, "seed \(seed): \(good) lines were good")
  }
}
