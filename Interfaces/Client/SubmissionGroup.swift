public import Commitments
public import Primitives
public import Wire

/// Submissions that go out together, under one signature.
public struct SubmissionGroup: Sendable {
  public enum Content: Sendable {
    /// Actions of one account, still to be signed; `expires` nil for the client's default.
    case unsigned([Action], account: AccountID, expires: Timestamp?)
    case signed(Bundle)
  }

  /// One for each action; a bundle signed elsewhere has one for all its actions.
  public let submissions: [Submission]
  public let content: Content

  /// Whose key signs.
  public var account: AccountID {
    switch content {
    case .unsigned(_, let account, _): account
    case .signed(let bundle): bundle.header.account
    }
  }

  /// The bundle to send; one signed elsewhere goes as it is.
  /// - Parameter expiry: for lines that name none.
  public func bundle(
    nonce: UInt64, expiry: Timestamp, network: Digest, by key: borrowing SigningKey
  ) -> Bundle {
    switch content {
    case .signed(let bundle): bundle
    case .unsigned(let actions, let account, let expires):
      Bundle.signed(
        actions, account: account, nonce: nonce, expiry: expires ?? expiry, network: network,
        by: key)
    }
  }
}

/// Gathers successive submissions of one account into groups (`--bundle N`).
public struct SubmissionGrouping: Sendable {
  private let actionsMax: Int
  private var pending: [Submission] = []
  private var actions: [Action] = []
  private var recordCount = 0

  /// - Precondition: `actionsMax` is 1…256.
  public init(actionsMax: Int = 1) {
    precondition((1...Limits.actionsPerBundleMax).contains(actionsMax))
    self.actionsMax = actionsMax
  }

  /// Takes the next submission and returns the groups that are now complete, in order: none, the
  /// one before, or the one it fills.
  public mutating func add(_ submission: Submission) -> [SubmissionGroup] {
    var complete: [SubmissionGroup] = []
    switch submission.content {
    case .signed(let bundle):
      if let group = finish() { complete.append(group) }
      complete.append(SubmissionGroup(submissions: [submission], content: .signed(bundle)))
    case .action(let action, let account, let expires):
      if !fits(action, account, expires), let group = finish() { complete.append(group) }
      pending.append(submission)
      actions.append(action)
      recordCount += action.recordCount
      if actions.count == actionsMax, let group = finish() { complete.append(group) }
    }
    return complete
  }

  /// The group still open, if any.
  public mutating func finish() -> SubmissionGroup? {
    guard let first = pending.first, case .action(_, let account, let expires) = first.content
    else { return nil }
    defer {
      pending = []
      actions = []
      recordCount = 0
    }
    return SubmissionGroup(
      submissions: pending, content: .unsigned(actions, account: account, expires: expires))
  }

  private func fits(_ action: Action, _ account: AccountID, _ expires: Timestamp?) -> Bool {
    guard let first = pending.first, case .action(_, let held, let until) = first.content else {
      return true
    }
    return held == account && until == expires
      && recordCount + action.recordCount <= Limits.recordsPerBundleMax
  }
}

extension Action {
  /// 64-byte records it takes.
  var recordCount: Int {
    switch self {
    case .surface: ActionKind.surface.recordCount
    case .list: ActionKind.list.recordCount
    case .block(let trade): trade.kind.recordCount
    case .margin: ActionKind.margin.recordCount
    case .massQuote(let quote): 1 + quote.entries.count
    case .combination(let combination): 1 + combination.legs.count
    case .openSession, .endSession, .disconnect, .volatility: 1
    case .order, .replace, .trigger, .timer, .protect, .resetProtection, .cancel, .cancelClient,
      .cancelOrders, .addKey, .revokeKey, .withdraw, .deposit,
      .release, .index, .impact, .halt, .bid, .open, .transfer:
      1
    }
  }
}
