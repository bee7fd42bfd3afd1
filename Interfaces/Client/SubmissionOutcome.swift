public import Primitives
public import Wire

/// What became of a submission, as `novate submit` prints it: one line of JSON.
public struct SubmissionOutcome: Sendable, Hashable {
  public enum Status: String, Sendable {
    /// In the log, and done or resting.
    case accepted
    /// In the log, and traded.
    case filled
    /// In the log, and not carried out.
    case rejected
    /// Not in the log or, with code `unansweredCode`, sent and never answered.
    case refused
  }

  /// The code of what was sent and got no answer: it may be in the log or not. Execution has no
  /// such code.
  public static let unansweredCode: UInt16 = 199

  public var id: String
  public var status: Status
  /// The batch that includes it, and the place of its bundle there; nil when refused.
  public var batch: BatchNumber?
  public var index: UInt32?
  /// An `OutcomeCode`, or a `Refusal` or `unansweredCode` when refused.
  public var code: UInt16
  /// For people: what was expected and what was found.
  public var message: String

  public init(
    id: String, status: Status, batch: BatchNumber? = nil, index: UInt32? = nil, code: UInt16,
    message: String
  ) {
    self.id = id
    self.status = status
    self.batch = batch
    self.index = index
    self.code = code
    self.message = message
  }

  public var isFailure: Bool {
    switch status {
    case .accepted, .filled: false
    case .rejected, .refused: true
    }
  }

  /// `{"id","status","batch","index","code","message"}`, without a line end.
  public var json: String {
    let value: JSONValue = [
      "id": .string(id), "status": .string(status.rawValue),
      "batch": batch.map { .integer($0.raw) } ?? .null,
      "index": index.map { .integer($0) } ?? .null, "code": .integer(code),
      "message": .string(message),
    ]
    return value.text()
  }
}

extension SubmissionOutcome {
  /// A line that could not be sent.
  public init(_ failure: SubmissionFailure) {
    self.init(
      id: failure.id ?? "line-\(failure.line)", status: .refused, code: Refusal.malformed.rawValue,
      message: failure.description)
  }

  /// A line whose bundle execution refused.
  public init(id: String, _ refusal: Refusal, _ figure1: Int64 = 0, _ figure2: Int64 = 0) {
    self.init(
      id: id, status: .refused, code: refusal.rawValue,
      message: refusal.message(figure1, figure2))
  }

  /// A line whose bundle got no answer.
  /// - Parameter wasSent: whether execution may have got it.
  public init(id: String, _ failure: ClientFailure, wasSent: Bool) {
    self.init(
      id: id, status: .refused,
      code: wasSent ? SubmissionOutcome.unansweredCode : Refusal.degraded.rawValue,
      message: wasSent ? "\(failure); it may be in the log" : "not sent: \(failure)")
  }

  /// An action in the log.
  /// - Parameter assets: those of genesis, for their scales.
  public init(
    id: String, _ outcome: Outcome, of record: ActionRecord, batch: BatchNumber, index: UInt32,
    assets: [Genesis.Asset]
  ) {
    let status: Status =
      switch outcome.status {
      case .accepted: .accepted
      case .filled: .filled
      case .rejected: .rejected
      }
    let message: String =
      if let code = OutcomeCode(rawValue: outcome.code) {
        code == .done || record.kind?.isDoneInPart == true && status != .rejected
          ? outcome.done(record.kind)
          : code.message(outcome.figure1, outcome.figure2, digits: record.amountDigits(assets))
      } else {
        "unknown code \(outcome.code)"
      }
    self.init(
      id: id, status: status, batch: batch, index: index, code: outcome.code, message: message)
  }

  /// The outcomes of a group's acknowledgement, in order: one an action; the actions of a bundle
  /// signed elsewhere share its id.
  /// - Parameter bundle: what was sent.
  public static func outcomes(
    of group: SubmissionGroup, _ bundle: Bundle, _ acknowledgement: Acknowledgement,
    assets: [Genesis.Asset]
  ) -> [SubmissionOutcome] {
    var record = 0
    var all: [SubmissionOutcome] = []
    for (place, outcome) in acknowledgement.outcomes.enumerated() {
      guard record < bundle.recordCount, let first = group.submissions.first else { break }
      let head = bundle.record(record)
      record += head.recordCount
      let id = place < group.submissions.count ? group.submissions[place].id : first.id
      all.append(
        SubmissionOutcome(
          id: id, outcome, of: head, batch: acknowledgement.batch, index: acknowledgement.index,
          assets: assets))
    }
    return all
  }

  /// The outcomes of a refused group, one a submission.
  public static func outcomes(
    of group: SubmissionGroup, refused refusal: Refusal, _ figure1: Int64 = 0,
    _ figure2: Int64 = 0
  ) -> [SubmissionOutcome] {
    group.submissions.map { SubmissionOutcome(id: $0.id, refusal, figure1, figure2) }
  }
}

extension ActionKind {
  /// Whether its outcome may have a code though something was done.
  fileprivate var isDoneInPart: Bool { self == .massQuote || self == .volatility }
}

extension ActionRecord {
  /// Decimals of the amount the action names.
  fileprivate func amountDigits(_ assets: [Genesis.Asset]) -> Int {
    switch kind {
    case .withdraw, .deposit, .transfer: id < assets.count ? Int(assets[Int(id)].scale) : 0
    case .place, .replace, .trigger, .volatility, .timer, .protect, .massQuote, .combination,
      .session, .disconnect, .cancel, .cancelAll, .addKey, .revokeKey, .release, .index, .surface,
      .block, .hedgedBlock, .list, .halt, .bid, .margin, .open, nil:
      Money.fractionDigits
    }
  }
}
