import Primitives
import Testing

@testable import Commitments

@Suite("witness policies") struct WitnessPolicyTests {
  static let keys = (1...4).map { seed -> PublicKey in
    (try? SigningKey(seed: [UInt8](repeating: seed, count: 32)).publicKey) ?? .zero
  }

  @Test("the example of the sigsum document wants two of X and one of Y")
  func example() throws {
    let policy = try WitnessPolicy(parsing: try Fixture.text("policy.txt"))
    #expect(policy.logs.count == 1 && policy.logs[0].url == "https://test.example/log")
    #expect(policy.witnesses.map(\.name) == ["X1", "X2", "X3", "Y1", "Y2", "Y3"])
    #expect(policy.witnesses[2].url == "https://x3.example" && policy.witnesses[0].url == nil)
    #expect(policy.quorumName == "X-and-Y")
    let all = policy.witnesses.map(\.key)
    for subset in 0..<64 {
      let keys = all.indices.filter { subset >> $0 & 1 == 1 }.map { all[$0] }
      let expected = (subset & 0b111).nonzeroBitCount >= 2 && subset >> 3 != 0
      #expect(policy.satisfied(by: keys) == expected)
      #expect(policy.satisfied(by: Set(keys + [Self.keys[0]])) == expected)
      #expect(policy.satisfied(by: keys + keys) == expected)
    }
  }

  @Test("no quorum is met by nobody, one witness by itself")
  func simpleQuorums() throws {
    #expect(try WitnessPolicy(parsing: "quorum none\n").satisfied(by: []))
    let one = try WitnessPolicy(parsing: "witness w \(Self.keys[0])\nquorum w")
    #expect(!one.satisfied(by: []) && !one.satisfied(by: [Self.keys[1]]))
    #expect(one.satisfied(by: [Self.keys[0]]))
  }

  @Test("what is wrong with a policy is named with its line")
  func failures() {
    let (a, b) = (Self.keys[0], Self.keys[1])
    let table: [(String, Int, PolicyFailure.Reason)] = [
      ("quorum none\nwitnes w \(a)", 2, .unknownKeyword("witnes")),
      ("log", 1, .itemCount(keyword: "log", found: 0)),
      ("log \(a) u v", 1, .itemCount(keyword: "log", found: 3)),
      ("witness w", 1, .itemCount(keyword: "witness", found: 1)),
      ("group g all", 1, .itemCount(keyword: "group", found: 2)),
      ("quorum", 1, .itemCount(keyword: "quorum", found: 0)),
      ("# c\n\nlog 12", 3, .publicKey("12")),
      ("log \(PublicKey.zero)", 1, .publicKey(PublicKey.zero.description)),
      ("log \(a)\nlog \(a)", 2, .duplicateKey(a)),
      ("witness w \(a)\nwitness v \(a)", 2, .duplicateKey(a)),
      ("witness w \(a)\nwitness w \(b)", 2, .duplicateName("w")),
      ("witness none \(a)", 1, .duplicateName("none")),
      ("witness w \(a)\ngroup w any w", 2, .duplicateName("w")),
      ("group g any w\nwitness w \(a)", 1, .undefinedName("w")),
      ("group g any g", 1, .undefinedName("g")),
      ("witness w \(a)\ngroup g 2 w w", 2, .repeatedMember("w")),
      ("witness w \(a)\ngroup g 0 w", 2, .threshold("0", memberCount: 1)),
      ("witness w \(a)\ngroup g 2 w", 2, .threshold("2", memberCount: 1)),
      ("witness w \(a)\ngroup g 01 w", 2, .threshold("01", memberCount: 1)),
      ("witness w \(a)\ngroup g most w", 2, .threshold("most", memberCount: 1)),
      ("quorum none\nquorum none", 2, .secondQuorum),
      ("quorum w", 1, .undefinedName("w")),
      ("witness w \(a)", 1, .noQuorum),
    ]
    for (text, line, reason) in table {
      let expected = PolicyFailure(line: line, reason: reason)
      #expect(throws: expected, "\(text)") { try WitnessPolicy(parsing: text) }
      #expect(expected.description.hasPrefix("line \(line): "))
    }
  }
}
