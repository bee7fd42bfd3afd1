public import Commitments
public import Primitives
public import Wire

/// Judges a bundle file by itself: no network, no clock, no threads of its own.
public struct FileVerifier: Sendable {
  /// What the auditor brought along.
  public enum Pin: Sendable {
    /// The genesis hash; the manifest comes with the file and must have it.
    case hash(Digest)
    case genesis(Genesis)

    var network: Digest {
      switch self {
      case .hash(let hash): hash
      case .genesis(let genesis): genesis.networkID
      }
    }
  }

  public enum Question: Sendable, Equatable {
    case account(AccountID)
    case trade(TradeID)
    /// Why an auction began, by its number.
    case auctionStart(UInt64)

    public init(_ decision: DecisionID) {
      switch decision {
      case .trade(let trade): self = .trade(trade)
      case .auctionStart(let number): self = .auctionStart(number)
      }
    }
  }

  /// Checks client signatures, perhaps on several threads: the place of the first bad one.
  public typealias SignatureCheck = (_ bundles: [Bundle], _ network: Digest) -> Int?
  /// Told now and then how many batches of how many are done.
  public typealias Progress = (_ done: Int, _ of: Int) -> Void

  public var pin: Pin?
  /// Nil: the quorum of genesis.
  public var policy: WitnessPolicy?
  public var policyName: String
  /// Nil: everything the file's kind requires.
  public var level: VerificationLevel?
  public var question: Question?
  /// Nothing in the file may be stamped later than this.
  public var at: Timestamp?

  public init(
    pin: Pin?, policy: WitnessPolicy? = nil, policyName: String = "policy",
    level: VerificationLevel? = nil, question: Question? = nil, at: Timestamp? = nil
  ) {
    self.pin = pin
    self.policy = policy
    self.policyName = policyName
    self.level = level
    self.question = question
    self.at = at
  }

  /// One after the other.
  public static func serial(_ bundles: [Bundle], _ network: Digest) -> Int? {
    bundles.firstIndex { !$0.isSigned(network: network) }
  }

  /// Runs every check that is asked for.
  public func verify(
    _ bytes: [UInt8], signatures: SignatureCheck = FileVerifier.serial,
    progress: Progress = { _, _ in }
  ) -> Verdict {
    var verdict = Verdict(
      level: level ?? .log, sha256: SHA256.digest(bytes), byteCount: bytes.count)
    let file: BundleFile
    do {
      file = try BundleFile(bytes)
      try FileVerifier.checkSections(file)
    } catch let failure as BundleFileFailure {
      return finish(&verdict, [FileVerifier.fault(failure).check(.framing)], kind: nil)
    } catch let fault as Fault {
      return finish(&verdict, [fault.check(.framing)], kind: nil)
    } catch {
      return finish(&verdict, [Fault.failed("\(error)").check(.framing)], kind: nil)
    }
    var framing = Check(.framing, .pass, "\(file.sections.count) sections")
    framing.offset = nil
    verdict.kind = file.manifest.kind
    verdict.network = file.manifest.network
    verdict.first = file.manifest.first
    verdict.last = file.manifest.last
    if level == nil, file.manifest.kind == .evidence { verdict.level = .chain }
    var checks = [framing]
    let required = requirement(file.manifest.kind)
    var run = VerificationRun(
      verifier: self, file: file, verdict: verdict, required: required)
    run.perform(into: &checks, signatures, progress)
    verdict = run.verdict
    return finish(&verdict, checks, kind: file.manifest.kind)
  }

  /// The checks that the kind, the question and the level ask for, in the order they run.
  func requirement(_ kind: BundleFileKind) -> [VerificationLevel] {
    var all: Set<VerificationLevel>
    switch kind {
    case .range:
      all = question == nil ? [.chain, .replay, .log] : [.chain, .replay, .log, .inclusion]
    case .account, .trade: all = [.chain, .inclusion, .log]
    case .evidence: all = [.chain]
    }
    if let level {
      all = all.filter { $0 <= level }
      if level > .framing { all.insert(level) }
    }
    // A question is answered at any level, or the verdict would be about something else.
    if question != nil, kind != .evidence { all.insert(.inclusion) }
    // A range file answers from its replayed state.
    if kind == .range, all.contains(.inclusion) { all.insert(.replay) }
    return [.chain, .replay, .log, .inclusion].filter(all.contains)
  }

  /// Fills in skipped checks, the outcome and the last good batch.
  private func finish(_ verdict: inout Verdict, _ checks: [Check], kind: BundleFileKind?)
    -> Verdict
  {
    verdict.checks = checks
    for name in [VerificationLevel.framing, .chain, .replay, .log, .inclusion]
    where verdict[name] == nil {
      verdict.checks.append(Check(name, .skip, skipReason(name, verdict, kind)))
    }
    if verdict.checks.contains(where: { $0.status == .fail }) {
      verdict.outcome = .failed
    } else if verdict.checks.contains(where: { $0.status == .undecided }) {
      verdict.outcome = .undecided
    } else {
      verdict.outcome = kind == .evidence && level != .framing ? .equivocation : .verified
    }
    if kind == nil || kind == .evidence { verdict.lastGood = nil }
    return verdict
  }

  private func skipReason(_ name: VerificationLevel, _ verdict: Verdict, _ kind: BundleFileKind?)
    -> String
  {
    if let decisive = verdict.checks.first(where: { $0.status == .fail }) {
      return "not reached: \(decisive.name.rawValue) failed"
    }
    switch (name, kind) {
    case (.inclusion, .range) where question == nil: return "no account or trade asked for"
    case (_, .evidence): return "evidence has no such part"
    case (.replay, .account), (.replay, .trade): return "a proof is not replayed"
    default: return "not asked for at level \(verdict.level.rawValue)"
    }
  }

  // MARK: - Framing

  /// A kind carries its own sections and no others.
  private static func checkSections(_ file: BundleFile) throws(Fault) {
    let allowed: Set<SectionType>
    switch file.manifest.kind {
    case .range: allowed = [.manifest, .genesis, .preState, .batches, .clearances, .checkpoints]
    case .account:
      allowed = [
        .manifest, .genesis, .batches, .clearances, .checkpoints, .accountProof, .logProof,
      ]
    case .trade:
      allowed = [
        .manifest, .genesis, .batches, .clearances, .checkpoints, .tradeProof, .decisionProof,
        .auctionProof, .logProof,
      ]
    case .evidence: allowed = [.manifest, .genesis, .evidence]
    }
    for section in file.sections where !allowed.contains(section.type) {
      throw .failed(
        "section \(section.type) does not belong in a file of kind \(file.manifest.kind)",
        at: section.offset)
    }
    guard file.manifest.first.raw > 0 || file[.preState] == nil else {
      throw .failed(
        "a file from batch 0 begins from genesis and carries no pre-state",
        at: file.offset(of: .preState))
    }
    let isSingle = file.manifest.first == file.manifest.last
    guard file.manifest.kind == .range ? file.manifest.subject == 0 : isSingle else {
      throw .failed("the manifest's batches or subject do not fit its kind", at: 56)
    }
  }

  private static func fault(_ failure: BundleFileFailure) -> Fault {
    guard let offset = failure.offset else { return .undecided("\(failure)") }
    return .failed(
      "\(failure)", at: offset,
      meaning: "The file was damaged or altered after it was written; nothing in it is proved.")
  }
}
