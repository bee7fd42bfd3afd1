import Commitments
import Instruments
import Primitives
import Wire

extension ClearingMachine {
  /// Notes a member's approval. Members approve the same bytes, each in a bundle of its own; the
  /// deciding approval fixes the batch the action takes effect in.
  mutating func approve(
    _ bundle: Bundle, _ record: ActionRecord, at index: Int, by account: AccountID
  ) {
    var receipt = Receipt(.governance)
    receipt.buyer = account
    defer { receipts.write(record: receipt) }
    guard let member = genesis.governance.firstIndex(of: account), let kind = record.kind else {
      receipt.code = ReceiptCode.termsRefused.rawValue
      return
    }
    let start = BundleHeader.byteCount + index * ActionRecord.byteCount
    let bytes = bundle.bytes.rawSpan.extracting(
      start..<(start + kind.recordCount * ActionRecord.byteCount))
    let action = SHA256.digest(bytes)
    let terms = kind == .list ? Instrument(bytes, at: ActionRecord.byteCount) : .empty
    let margin = kind == .margin ? MarginTerms(bytes, at: ActionRecord.byteCount) : .empty
    if let refusal = refusal(kind, record, terms) ?? collateralRefusal(margin) {
      receipt.code = refusal.rawValue
      return
    }
    let known = (0..<proposals.count).first {
      proposals[$0].action == action && proposals[$0].isDone == 0 && !hasLapsed(proposals[$0])
    }
    if known == nil, openProposals(of: member) >= Limits.proposalsPerMemberMax {
      receipt.code = ReceiptCode.tooManyProposals.rawValue
      return
    }
    let slot: Int
    if let known {
      slot = known
    } else {
      var subject = record.id
      if kind == .margin {
        subject = UInt32(margins.append(margin))
      }
      slot = enter(
        ProposalRecord(
          action: action, kind: UInt16(kind.rawValue), opener: UInt16(member), subject: subject,
          halted: UInt16(record.a), opened: time, terms: terms))
    }
    let bit = UInt32(1) << UInt32(member)
    guard proposals[slot].approvals & bit == 0 else {
      receipt.code = ReceiptCode.alreadyApproved.rawValue
      return
    }
    proposals[slot].approvals |= bit
    let approvals = proposals[slot].approvals.nonzeroBitCount
    receipt.quantity = Quantity(raw: Int64(approvals))
    if approvals >= Int(genesis.governanceThreshold), !proposals[slot].isDecided {
      proposals[slot].effective =
        status[0].batch + UInt64(genesis.constants.activationNotice)
    }
    receipt.id = proposals[slot].effective
  }

  /// Whether a proposal nobody decided is too old to gather approvals.
  private func hasLapsed(_ proposal: ProposalRecord) -> Bool {
    !proposal.isDecided && time.raw - proposal.opened.raw > Limits.proposalLife
  }

  /// Undecided proposals a member opened.
  private func openProposals(of member: Int) -> Int {
    (0..<proposals.count).count {
      proposals[$0].opener == UInt16(member) && !proposals[$0].isDecided
        && !hasLapsed(proposals[$0])
    }
  }

  /// Takes the place of a lapsed proposal, or a new one.
  private mutating func enter(_ proposal: ProposalRecord) -> Int {
    guard let slot = (0..<proposals.count).first(where: { hasLapsed(proposals[$0]) }) else {
      return proposals.append(proposal)
    }
    proposals[slot] = proposal
    return slot
  }

  private func refusal(_ kind: ActionKind, _ record: ActionRecord, _ terms: Instrument)
    -> ReceiptCode?
  {
    switch kind {
    case .list:
      guard instruments.count < Limits.instrumentsMax,
        terms.underlying.index < genesis.underlyings.count, terms.isProposal,
        terms.fault == nil, !terms.expires || terms.expiry > time
      else { return .termsRefused }
      return nil
    case .halt:
      guard Int(record.id) < instruments.count,
        instruments[Int(record.id)].isListed
      else { return .termsRefused }
      return nil
    case .margin:
      return margins.count < Limits.marginTermsMax ? nil : .termsRefused
    default:
      return .termsRefused
    }
  }

  /// Carries out what has been decided for this batch, before its events.
  mutating func activateProposals() {
    for slot in 0..<proposals.count
    where proposals[slot].isDone == 0 && proposals[slot].effective <= status[0].batch {
      proposals[slot].isDone = 1
      if proposals[slot].kind == UInt16(ActionKind.list.rawValue) {
        list(proposals[slot].terms)
      } else if proposals[slot].kind == UInt16(ActionKind.margin.rawValue) {
        status[0].margin = UInt64(proposals[slot].subject)
        touched.margin = true
        takeTerms()
      } else {
        let subject = Int(proposals[slot].subject)
        guard instruments[subject].isListed else { continue }
        let status: InstrumentStatus = proposals[slot].halted == 1 ? .halted : .active
        instruments[subject].statusCode = status.rawValue
        touched.instruments.append(subject)
      }
    }
  }

  /// Lists an instrument under the next id.
  private mutating func list(_ terms: Instrument) {
    guard instruments.count < Limits.instrumentsMax else { return }
    var instrument = terms
    instrument.id = InstrumentID(UInt32(instruments.count))
    instrument.listed = BatchNumber(status[0].batch)
    touched.instruments.append(instruments.append(instrument))
    openPerpetual(instrument)
  }
}
