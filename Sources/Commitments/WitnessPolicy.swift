public import Primitives

/// Which logs are trusted, and which sets of witnesses make a checkpoint good: a policy file in the
/// syntax of sigsum (https://git.glasklar.is/sigsum/core/sigsum-go/-/blob/main/doc/policy.md).
public struct WitnessPolicy: Hashable, Sendable {
  /// A log whose checkpoints are accepted.
  public struct Log: Hashable, Sendable {
    /// The log's note key, 32 bytes.
    public let key: PublicKey
    /// Where the log answers.
    public let url: String?
  }

  /// A witness whose cosignatures may count.
  public struct Witness: Hashable, Sendable {
    /// Means something inside the file alone.
    public let name: String
    /// The witness's cosignature key, 32 bytes.
    public let key: PublicKey
    /// Where the witness answers.
    public let url: String?
  }

  /// The logs in the file's order.
  public private(set) var logs: [Log] = []
  /// The witnesses in the file's order.
  public private(set) var witnesses: [Witness] = []

  /// Something a quorum may ask for. Members come before their group, so there is no circle.
  private enum Party: Hashable, Sendable {
    case none
    case witness(PublicKey)
    case group(threshold: Int, members: [Int])
  }
  private var names: [String] = ["none"]
  private var parties: [Party] = [.none]
  private var quorum: Int?

  /// The name on the quorum line.
  public var quorumName: String { quorum.map { names[$0] } ?? "none" }

  /// Parses a policy file.
  /// - Throws: `PolicyFailure` with the line of the first fault.
  public init(parsing text: String) throws(PolicyFailure) {
    let lines = text.utf8.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (position, line) in lines.enumerated() {
      let words = line.prefix { $0 != UInt8(ascii: "#") }
        .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
        .map { String(decoding: $0, as: UTF8.self) }
      if !words.isEmpty { try read(words, line: position + 1) }
    }
    guard quorum != nil else { throw PolicyFailure(line: lines.count, reason: .noQuorum) }
  }

  /// Whether cosignatures by `keys` meet the quorum. Keys that are no witness's count for nothing.
  public func satisfied(by keys: Set<PublicKey>) -> Bool {
    guard let quorum else { return false }
    var acts: [Bool] = []
    for party in parties {
      switch party {
      case .none: acts.append(true)
      case .witness(let key): acts.append(keys.contains(key))
      case .group(let threshold, let members):
        acts.append(members.count { acts[$0] } >= threshold)
      }
    }
    return acts[quorum]
  }

  /// Whether cosignatures by `keys` meet the quorum.
  public func satisfied(by keys: [PublicKey]) -> Bool { satisfied(by: Set(keys)) }

  private mutating func read(_ words: [String], line: Int) throws(PolicyFailure) {
    let allowed: ClosedRange<Int>
    switch words[0] {
    case "log": allowed = 2...3
    case "witness": allowed = 3...4
    case "group": allowed = 4...Int.max
    case "quorum": allowed = 2...2
    default: throw PolicyFailure(line: line, reason: .unknownKeyword(words[0]))
    }
    guard allowed.contains(words.count) else {
      let reason = PolicyFailure.Reason.itemCount(keyword: words[0], found: words.count - 1)
      throw PolicyFailure(line: line, reason: reason)
    }
    do throws(Fault) {
      switch words[0] {
      case "log": try addLog(words)
      case "witness": try addWitness(words)
      case "group": try addGroup(words)
      default: try setQuorum(words)
      }
    } catch {
      throw PolicyFailure(line: line, reason: error.reason)
    }
  }

  /// A reason that does not know its line yet.
  private struct Fault: Error { let reason: PolicyFailure.Reason }

  private mutating func addLog(_ words: [String]) throws(Fault) {
    let key = try WitnessPolicy.key(words[1])
    guard !logs.contains(where: { $0.key == key }) else { throw Fault(reason: .duplicateKey(key)) }
    logs.append(Log(key: key, url: words.count > 2 ? words[2] : nil))
  }

  private mutating func addWitness(_ words: [String]) throws(Fault) {
    let key = try WitnessPolicy.key(words[2])
    // One key under two names would count twice.
    guard !witnesses.contains(where: { $0.key == key }) else {
      throw Fault(reason: .duplicateKey(key))
    }
    try define(words[1], .witness(key))
    witnesses.append(Witness(name: words[1], key: key, url: words.count > 3 ? words[3] : nil))
  }

  private mutating func addGroup(_ words: [String]) throws(Fault) {
    var members: [Int] = []
    for name in words[3...] {
      let member = try index(of: name)
      guard !members.contains(member) else { throw Fault(reason: .repeatedMember(name)) }
      members.append(member)
    }
    let threshold: Int? =
      switch words[2] {
      case "any": 1
      case "all": members.count
      default: Int(words[2]).flatMap { String($0) == words[2] ? $0 : nil }
      }
    guard let threshold, (1...members.count).contains(threshold) else {
      throw Fault(reason: .threshold(words[2], memberCount: members.count))
    }
    try define(words[1], .group(threshold: threshold, members: members))
  }

  private mutating func setQuorum(_ words: [String]) throws(Fault) {
    guard quorum == nil else { throw Fault(reason: .secondQuorum) }
    quorum = try index(of: words[1])
  }

  private mutating func define(_ name: String, _ party: Party) throws(Fault) {
    guard !names.contains(name) else { throw Fault(reason: .duplicateName(name)) }
    names.append(name)
    parties.append(party)
  }

  private func index(of name: String) throws(Fault) -> Int {
    guard let index = names.firstIndex(of: name) else {
      throw Fault(reason: .undefinedName(name))
    }
    return index
  }

  private static func key(_ text: String) throws(Fault) -> PublicKey {
    guard let key = PublicKey(hex: text), Ed25519.isAcceptableKey(key) else {
      throw Fault(reason: .publicKey(text))
    }
    return key
  }
}
