public import Primitives
public import Wire

/// How far a verification goes, weakest first.
public enum VerificationLevel: String, Sendable, CaseIterable, Comparable {
  case framing, chain, inclusion, replay, log

  public static func < (a: VerificationLevel, b: VerificationLevel) -> Bool {
    a.place < b.place
  }

  private var place: Int { VerificationLevel.allCases.firstIndex(of: self) ?? 0 }
}

public enum CheckStatus: String, Sendable {
  case pass, fail, skip, undecided
}

/// One check of a file and what came of it.
public struct Check: Sendable, Equatable {
  public var name: VerificationLevel
  public var status: CheckStatus
  public var reason: String
  public var batch: BatchNumber?
  /// Byte offset in the file.
  public var offset: Int?
  public var expected: String?
  public var found: String?
  /// One sentence on what a failure means and who signed what failed.
  public var meaning: String?

  public init(_ name: VerificationLevel, _ status: CheckStatus, _ reason: String) {
    self.name = name
    self.status = status
    self.reason = reason
  }
}

/// What is known of a file after the checks.
public struct Verdict: Sendable, Equatable {
  public enum Outcome: String, Sendable {
    case verified, failed, undecided, equivocation
  }

  public struct Signer: Sendable, Hashable {
    public var role: String
    /// Eight hexadecimal digits: a note key's own id, else the start of the key's SHA-256.
    public var keyID: String
    public var key: PublicKey
  }

  public struct Rules: Sendable, Hashable {
    public var ruleSet: Digest
    public var from: BatchNumber
  }

  public struct Witnesses: Sendable, Equatable {
    /// The policy's name: a file's, or `genesis`.
    public var policy = "genesis"
    public var quorum = ""
    public var have: [String] = []
  }

  public var outcome: Outcome = .undecided
  /// The level asked for, or the file kind's own.
  public var level: VerificationLevel
  public var checks: [Check] = []
  public var sha256: Digest
  public var byteCount: Int
  public var kind: BundleFileKind?
  public var network: Digest?
  public var isPinned = false
  public var first: BatchNumber?
  public var last: BatchNumber?
  /// The last batch for which everything asked for holds.
  public var lastGood: BatchNumber?
  public var signers: [Signer] = []
  public var witnesses = Witnesses()
  public var rules: [Rules] = []
  /// What all else rests on: genesis, and the newest checkpoint or signature.
  public var anchor = ""
  /// The answer to the question asked, a line each.
  public var answer: [String] = []

  public init(level: VerificationLevel, sha256: Digest, byteCount: Int) {
    self.level = level
    self.sha256 = sha256
    self.byteCount = byteCount
  }

  public subscript(name: VerificationLevel) -> Check? { checks.first { $0.name == name } }

  /// The first check that failed, else the first that could not be decided.
  public var decisive: Check? {
    checks.first { $0.status == .fail } ?? checks.first { $0.status == .undecided }
  }

  /// 0 verified, 1 proved false, 3 cannot decide, 4 equivocation proved.
  public var exitCode: Int32 {
    switch outcome {
    case .verified: 0
    case .failed: 1
    case .undecided: 3
    case .equivocation: 4
    }
  }

  /// The code of several files: the worst wins, in the order 4, 1, 3, 5, 2, 0.
  public static func worst(_ codes: [Int32]) -> Int32 {
    [4, 1, 3, 5, 2].first(where: codes.contains) ?? 0
  }
}

/// A check that did not pass, on its way to the verdict.
struct Fault: Error {
  var status: CheckStatus
  var reason: String
  var batch: BatchNumber?
  var offset: Int?
  var expected: String?
  var found: String?
  var meaning: String?

  static func failed(
    _ reason: String, _ batch: BatchNumber? = nil, at offset: Int? = nil, expected: String? = nil,
    found: String? = nil, meaning: String? = nil
  ) -> Fault {
    Fault(
      status: .fail, reason: reason, batch: batch, offset: offset, expected: expected,
      found: found, meaning: meaning)
  }

  static func undecided(_ reason: String, _ batch: BatchNumber? = nil) -> Fault {
    Fault(status: .undecided, reason: reason, batch: batch)
  }

  func check(_ name: VerificationLevel) -> Check {
    var check = Check(name, status, reason)
    check.batch = batch
    check.offset = offset
    check.expected = expected
    check.found = found
    check.meaning = meaning
    return check
  }
}
