import Clearing
import Commitments
import Instruments
import Primitives
import Wire

extension VerificationRun {
  /// The account or trade asked for, under the clearing header of the file.
  mutating func inclusion() throws(Fault) -> String {
    let genesis = try resolveGenesis()
    switch file.manifest.kind {
    case .range:
      guard verifier.question != nil else {
        throw .undecided("a range file proves no account or trade unless one is asked for")
      }
      guard let replayAnswer else {
        throw .undecided("the range could not be replayed to answer")
      }
      verdict.answer = try replayAnswer.get()
      switch verifier.question {
      case .trade(let trade)?: return "trade \(trade) in \(verdict.answer.first ?? "")"
      case .auctionStart(let number)?:
        return "the start of auction \(number) in \(verdict.answer.first ?? "")"
      case .account?, nil: return verdict.answer.first ?? ""
      }
    case .account: return try accountInclusion(genesis)
    case .trade:
      switch DecisionID(subject: file.manifest.subject) {
      case .trade(let trade): return try tradeInclusion(trade, genesis)
      case .auctionStart(let number): return try auctionInclusion(number, genesis)
      }
    case .evidence: throw .undecided("evidence proves no account or trade")
    }
  }

  func requireQuestion(_ own: FileVerifier.Question) throws(Fault) {
    guard let question = verifier.question, question != own else { return }
    throw .undecided("the file answers for \(name(own)), not for \(name(question))")
  }

  private func name(_ question: FileVerifier.Question) -> String {
    switch question {
    case .account(let account): "account \(account)"
    case .trade(let trade): "trade \(trade)"
    case .auctionStart(let number): "the start of auction \(number)"
    }
  }

  private mutating func accountInclusion(_ genesis: Genesis) throws(Fault) -> String {
    guard let account = UInt32(exactly: file.manifest.subject).map({ AccountID($0) }) else {
      throw .failed("the manifest's account is no account", at: file.offset(of: .manifest))
    }
    try requireQuestion(.account(account))
    guard let section = file[.accountProof], let place = file.offset(of: .accountProof) else {
      throw .undecided("section accountProof is missing")
    }
    let proof: AccountProof
    do {
      var reader = ByteReader(section.rawSpan)
      proof = try AccountProof(reading: &reader)
      try reader.finish()
    } catch {
      throw .failed("the account proof: \(error)", at: place)
    }
    guard proof.account == account else {
      throw .failed(
        "the proof is of another account", at: place, expected: "\(account)",
        found: "\(proof.account)")
    }
    let root = clearances[0].header.postRoot
    guard proof.stateRoot == root else {
      throw .failed(
        "the account is not under the state root", file.manifest.first, at: place,
        expected: "\(root)", found: proof.stateRoot.map { "\($0)" } ?? "a contradiction",
        meaning: "Clearing signed a state in which this account is not as the file says.")
    }
    guard let lines = Answers.lines(of: proof, genesis) else {
      throw .failed("the account's disclosed lists", file.manifest.first, at: place)
    }
    verdict.answer = lines
    return lines[0]
  }

  private mutating func tradeInclusion(_ trade: TradeID, _ genesis: Genesis) throws(Fault)
    -> String
  {
    try requireQuestion(.trade(trade))
    if let place = file.offset(of: .auctionProof) {
      throw .failed("the start of an auction in a trade's file", at: place)
    }
    guard let section = file[.tradeProof], let place = file.offset(of: .tradeProof) else {
      throw .undecided("section tradeProof is missing")
    }
    let proof: TradeProof
    do {
      proof = try TradeProof(decoding: section.rawSpan)
    } catch {
      throw .failed("the trade proof: \(error)", at: place)
    }
    guard proof.fill.trade == trade else {
      throw .failed(
        "the proof is of another trade", at: place, expected: "\(trade)",
        found: "\(proof.fill.trade)")
    }
    guard proof.holds(execution: batches[0].header, clearing: clearances[0].header) else {
      throw .failed(
        "fill and receipt are not under the headers", file.manifest.first, at: place,
        meaning: "The layers signed a batch in which this trade is not as the file says.")
    }
    verdict.answer = ["batch \(file.manifest.first)"] + Answers.lines(of: proof.fill, genesis)
    let found = "trade \(trade) in \(verdict.answer[0])"
    guard proof.fill.causeCode == FillCause.close.rawValue else {
      if let place = file.offset(of: .decisionProof) {
        throw .failed("a decision behind a trade that nobody directed", at: place)
      }
      return found
    }
    return found + ", a close \(try decision(behind: proof.fill, genesis))"
  }

  /// Takes the decision behind a directed close again.
  private mutating func decision(behind fill: Fill, _ genesis: Genesis) throws(Fault) -> String {
    guard let section = file[.decisionProof], let place = file.offset(of: .decisionProof) else {
      throw .undecided("the decision behind a directed close: section decisionProof is missing")
    }
    let proof: DecisionProof
    do {
      proof = try DecisionProof(decoding: section.rawSpan)
    } catch {
      throw .failed("the decision proof: \(error)", at: place)
    }
    if let fault = proof.fault(behind: fill, batches[0].header) {
      throw .failed(
        "the decision proof: \(fault)", file.manifest.first, at: place,
        meaning: "What is shown is not what led to this trade.")
    }
    guard let decided = proof.decided else { throw .undecided("no Clearance decided") }
    let taken: Receipt
    do {
      taken = try ClearingMachine.close(proof.witness, genesis)
    } catch {
      throw fault(error, "a close", decided.batch, at: place)
    }
    guard taken == proof.receipt else {
      throw .failed(
        "the decision taken again differs", decided.batch, at: place,
        expected: Answers.close(taken, genesis), found: Answers.close(proof.receipt, genesis),
        meaning: VerificationRun.wrongly)
    }
    verdict.answer.append("directed by the Clearance of batch \(decided.batch)")
    verdict.answer += Answers.lines(of: taken, genesis)
    return "whose decision of batch \(decided.batch) was taken again"
  }

  private static let wrongly = "Clearing signed a decision that its own rules do not give."

  /// - Parameter decision: what was decided.
  private func fault(
    _ failure: DecisionFailure, _ decision: String, _ batch: BatchNumber, at place: Int
  ) -> Fault {
    switch failure {
    case .missing(let part): .undecided("the decision proof lacks \(part)", batch)
    case .unsound(let part): .failed("the decision proof: \(part)", batch, at: place)
    case .notDue(let reason):
      .failed(
        "\(decision) that was not due: \(reason)", batch, at: place,
        meaning: VerificationRun.wrongly)
    }
  }

  /// Why an auction began: its receipt under the clearing header, and the decision taken again.
  private mutating func auctionInclusion(_ number: UInt64, _ genesis: Genesis) throws(Fault)
    -> String
  {
    try requireQuestion(.auctionStart(number))
    guard let section = file[.auctionProof], let place = file.offset(of: .auctionProof) else {
      throw .undecided("section auctionProof is missing")
    }
    for other in [SectionType.tradeProof, .decisionProof] {
      if let place = file.offset(of: other) {
        throw .failed("a trade in the file of an auction's start", at: place)
      }
    }
    let proof: AuctionProof
    do {
      proof = try AuctionProof(decoding: section.rawSpan)
    } catch {
      throw .failed("the auction proof: \(error)", at: place)
    }
    let header = clearances[0].header
    guard header.execution == batches[0].header.id else {
      throw .failed("the Clearance is of another batch", header.batch, at: place)
    }
    if let fault = proof.fault(number, header) {
      throw .failed(
        "the auction proof: \(fault)", header.batch, at: place,
        meaning: "What is shown is not what began this auction.")
    }
    let taken: Receipt
    do {
      taken = try ClearingMachine.auctionStart(proof.witness, proof.receipt, genesis)
    } catch {
      throw fault(error, "an auction", header.batch, at: place)
    }
    let lines = Answers.lines(ofStart: proof.receipt)
    guard taken == proof.receipt else {
      throw .failed(
        "the decision taken again differs", header.batch, at: place,
        expected: Answers.lines(ofStart: taken)[1], found: lines[1],
        meaning: VerificationRun.wrongly)
    }
    verdict.answer = ["batch \(header.batch)"] + lines
    return "the start of auction \(number) in batch \(header.batch), a decision taken again"
  }
}

/// What is proved, in words.
enum Answers {
  /// - Parameter listed: instruments known besides those of genesis.
  static func lines(of fill: Fill, _ genesis: Genesis, listed: [Instrument] = []) -> [String] {
    [
      "trade \(fill.trade)", "instrument \(name(fill.instrument, genesis, listed))",
      "buyer \(fill.buyer)",
      "seller \(fill.seller)", "price \(fill.price.decimal)",
      "quantity \(fill.quantity.decimal)",
    ]
  }

  /// What a decision to close went by.
  static func lines(of close: Receipt, _ genesis: Genesis) -> [String] {
    var lines = [
      "equity \(close.received.decimal) below maintenance \(close.buyerFee.decimal), "
        + "initial margin \(close.paid.decimal), margin terms \(close.sellerPosition.raw)"
    ]
    if close.id != .max {
      let (underlying, scenario) = (Int(close.id >> 8), close.id & 0xFF)
      let name =
        underlying < genesis.underlyings.count ? genesis.underlyings[underlying] : "\(underlying)"
      lines.append("scenario \(scenario) of \(name): \(close.buyerRealised.decimal)")
    }
    return lines + [Answers.close(close, genesis)]
  }

  /// Why an auction began: whose, and at what figures.
  static func lines(ofStart receipt: Receipt) -> [String] {
    [
      "auction \(receipt.id) of account \(receipt.buyer)",
      "equity \(receipt.received.decimal), above maintenance by \(receipt.buyerFee.decimal), "
        + "notional \(receipt.sellerFee.decimal), fee \(receipt.paid.decimal), "
        + "margin terms \(receipt.quantity.raw)",
    ]
  }

  static func close(_ receipt: Receipt, _ genesis: Genesis) -> String {
    let side = receipt.quantity.raw > 0 ? "buy" : "sell"
    let size = Quantity(raw: Int64(clamping: receipt.quantity.raw.magnitude))
    return "\(side) \(size.decimal) of \(name(receipt.instrument, genesis, [])) at "
      + "\(receipt.price.decimal) or better"
  }

  /// An instrument's name; the number of one listed later, where only a replay knows its terms.
  private static func name(_ id: InstrumentID, _ genesis: Genesis, _ listed: [Instrument])
    -> String
  {
    genesis.instrumentName(id)?.description
      ?? listed.first { $0.id == id }?.label(underlyings: genesis.underlyings) ?? "\(id)"
  }

  /// Nil when the disclosed lists are not what their tags say.
  static func lines(of proof: AccountProof, _ genesis: Genesis, listed: [Instrument] = [])
    -> [String]?
  {
    guard !proof.fields.isEmpty else { return ["account \(proof.account) does not exist"] }
    let cash = Money(raw: Int64(bitPattern: UInt64(littleEndian: proof.fields[0].words.0)))
    var lines = ["account \(proof.account) exists", "cash \(cash.decimal)"]
    do {
      for balance in try proof.balanceEntries() {
        lines.append("balance of asset \(balance.asset): \(balance.amount.raw) units")
      }
      for position in try proof.positionEntries() {
        let instrument = name(position.instrument, genesis, listed)
        lines.append(
          "position in \(instrument): \(position.quantity.decimal), cost \(position.cost.decimal)")
      }
    } catch {
      return nil
    }
    return lines
  }
}
