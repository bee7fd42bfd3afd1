import Commitments
import Primitives
import Wire

extension VerificationRun {
  /// Layer signatures, numbers, links, times, hashes and counts of bodies.
  mutating func chain() throws(Fault) -> String {
    let genesis = try resolveGenesis()
    if file.manifest.kind == .evidence { return try evidence(genesis) }
    clearances = try objects(
      .clearances, ClearingHeader.self, bodyByteCount: { Int($0.bodyByteCount) },
      isHeaderAlone: true)
    // An account's proof stands under clearing's header alone; a batch that is there is checked.
    let hasBatches = file.manifest.kind != .account || file[.batches] != nil
    if hasBatches {
      batches = try objects(
        .batches, ExecutionHeader.self, bodyByteCount: { Int($0.bodyByteCount) },
        isHeaderAlone: true)
    }
    try checkCount(.clearances, clearances.count)
    if hasBatches { try checkCount(.batches, batches.count) }
    verdict.lastGood = file.manifest.last
    for index in clearances.indices {
      if !batches.isEmpty { try checkBatch(index, genesis) }
      try checkClearance(index, genesis)
    }
    sign("execution", batches.isEmpty ? nil : genesis.execution.object)
    sign("clearing", genesis.clearing.object)
    if let last = clearances.last {
      verdict.anchor += ", clearing's signature on batch \(last.header.batch)"
    }
    return "\(batches.count + clearances.count) signatures"
  }

  private mutating func sign(_ role: String, _ key: PublicKey?) {
    if let key { sign(role, key, keyID: nil) }
  }

  private func checkCount(_ type: SectionType, _ count: Int) throws(Fault) {
    let (span, overflow) = (file.manifest.last.raw - file.manifest.first.raw)
      .addingReportingOverflow(1)
    guard !overflow, UInt64(count) == span else {
      throw .failed(
        "section \(type) does not hold the manifest's batches", at: file.offset(of: type),
        expected: overflow ? "fewer than 2^64" : "\(span)", found: "\(count)")
    }
  }

  /// Throws unless the condition holds, naming the field.
  private func require<Value: Equatable>(
    _ layer: Difference.Layer, _ field: String, _ batch: BatchNumber, _ object: Int,
    expected: Value, found: Value
  ) throws(Fault) {
    guard expected != found else { return }
    let names = layer == .execution ? HeaderFields.execution : HeaderFields.clearing
    var offset = object
    for name in names {
      if name.name == field { break }
      offset += name.size
    }
    throw .failed(
      "\(field) of \(layer)'s header", batch, at: offset, expected: "\(expected)",
      found: "\(found)",
      meaning: "\(layer == .execution ? "Execution" : "Clearing") signed a header that does not "
        + "continue the chain, or the file leaves something out.")
  }

  private func checkRules(_ ruleSet: Digest, _ genesis: Genesis, _ batch: BatchNumber)
    throws(Fault)
  {
    guard ruleSet == RuleSet.current, genesis.ruleSet == RuleSet.current else {
      throw .undecided("rule set \(ruleSet) is unknown to this build", batch)
    }
  }

  private mutating func checkBatch(_ index: Int, _ genesis: Genesis) throws(Fault) {
    let object = batches[index]
    let header = object.header
    let batch = BatchNumber(file.manifest.first.raw + UInt64(index))
    try require(
      .execution, "batch", batch, object.offset, expected: batch, found: header.batch)
    try require(
      .execution, "network", batch, object.offset, expected: file.manifest.network,
      found: header.network)
    guard Ed25519.isValid(object.signature, of: header.id, by: genesis.execution.object) else {
      throw .failed(
        "execution's signature", batch, at: object.offset + ExecutionHeader.byteCount,
        expected: "a signature by \(genesis.execution.object)", found: "\(object.signature)",
        meaning: "Execution did not sign this header: it was altered or forged.")
    }
    try require(
      .execution, "version", batch, object.offset, expected: 1, found: header.version)
    try checkRules(header.ruleSet, genesis, batch)
    if index > 0 {
      let before = batches[index - 1].header
      try require(
        .execution, "previous", batch, object.offset, expected: before.id, found: header.previous)
      try require(
        .execution, "pre_exec_root", batch, object.offset, expected: before.postRoot,
        found: header.preRoot)
      guard header.time >= before.time else {
        throw .failed(
          "time falls", batch, at: object.offset + 48, expected: "\(before.time.raw) or later",
          found: "\(header.time.raw)")
      }
    } else if batch.raw == 0 {
      try require(
        .execution, "previous", batch, object.offset, expected: file.manifest.network,
        found: header.previous)
    }
    try checkTime(header.time, batch, object.offset + 48)
    guard let body = object.body else { return }
    let hash = SHA256.digest(body)
    try require(
      .execution, "body_hash", batch, object.offset, expected: hash, found: header.bodyHash)
    guard body.count >= 8 else {
      throw .failed("the batch's body is too short", batch, at: object.bodyOffset)
    }
    let span = body.rawSpan
    try require(
      .execution, "bundle_count", batch, object.offset, expected: span.load(at: 0),
      found: header.bundleCount)
    try require(
      .execution, "event_count", batch, object.offset, expected: span.load(at: 4),
      found: header.eventCount)
  }

  private func checkTime(_ time: Timestamp, _ batch: BatchNumber, _ offset: Int) throws(Fault) {
    guard let at = verifier.at, time > at else { return }
    throw .failed(
      "the batch is stamped after the time asked about", batch, at: offset,
      expected: "\(at.raw) or earlier", found: "\(time.raw)")
  }

  private mutating func checkClearance(_ index: Int, _ genesis: Genesis) throws(Fault) {
    let object = clearances[index]
    let header = object.header
    let batch = BatchNumber(file.manifest.first.raw + UInt64(index))
    let place = object.offset
    try require(.clearing, "batch", batch, place, expected: batch, found: header.batch)
    try require(
      .clearing, "network", batch, place, expected: file.manifest.network, found: header.network)
    guard Ed25519.isValid(object.signature, of: header.id, by: genesis.clearing.object) else {
      throw .failed(
        "clearing's signature", batch, at: place + ClearingHeader.byteCount,
        expected: "a signature by \(genesis.clearing.object)", found: "\(object.signature)",
        meaning: "Clearing did not sign this header: it was altered or forged.")
    }
    try require(.clearing, "version", batch, place, expected: 1, found: header.version)
    try checkRules(header.ruleSet, genesis, batch)
    if verdict.rules.last?.ruleSet != header.ruleSet {
      verdict.rules.append(Verdict.Rules(ruleSet: header.ruleSet, from: batch))
    }
    if index < batches.count {
      let cleared = batches[index].header
      try require(
        .clearing, "exec_id", batch, place, expected: cleared.id, found: header.execution)
      try require(.clearing, "time", batch, place, expected: cleared.time, found: header.time)
    }
    try checkTime(header.time, batch, place + 48)
    if index > 0 {
      let before = clearances[index - 1].header
      try require(
        .clearing, "previous", batch, place, expected: before.id, found: header.previous)
      try require(
        .clearing, "pre_state_root", batch, place, expected: before.postRoot,
        found: header.preRoot)
    } else if batch.raw == 0 {
      try require(
        .clearing, "previous", batch, place, expected: file.manifest.network,
        found: header.previous)
    }
    try require(
      .clearing, "log_size_before", batch, place, expected: batch.raw,
      found: header.logSizeBefore)
    guard let body = object.body else { return }
    try require(
      .clearing, "clearance_body_hash", batch, place, expected: SHA256.digest(body),
      found: header.bodyHash)
    guard body.count >= 32 else {
      throw .failed("the Clearance's body is too short", batch, at: object.bodyOffset)
    }
    let span = body.rawSpan
    try require(
      .clearing, "account_count", batch, place, expected: span.load(at: 4),
      found: header.accountCount)
    try require(
      .clearing, "position_count", batch, place, expected: span.load(at: 12),
      found: header.positionCount)
    try require(
      .clearing, "directive_count", batch, place, expected: span.load(at: 28),
      found: header.directiveCount)
  }

  // MARK: - Evidence

  /// Two ids validly signed by one role for one batch, or two roots for one size.
  private mutating func evidence(_ genesis: Genesis) throws(Fault) -> String {
    guard verifier.question == nil else {
      throw .undecided("evidence answers no question about an account or a trade")
    }
    guard let section = file[.evidence], let place = file.offset(of: .evidence) else {
      throw .undecided("section evidence is missing")
    }
    let evidence: EquivocationEvidence
    do {
      evidence = try EquivocationEvidence(decoding: section.rawSpan)
    } catch {
      throw .failed("the evidence: \(error)", at: place)
    }
    guard evidence.layer == file.manifest.subject else {
      throw .failed("the manifest names another layer than the evidence", at: place)
    }
    do {
      let finding = try evidence.finding(genesis: genesis, network: file.manifest.network)
      guard finding.batch == file.manifest.first else {
        throw Fault.failed(
          "the evidence is of another batch", finding.batch, at: place,
          expected: "\(file.manifest.first)", found: "\(finding.batch)")
      }
      sign(finding.role, finding.key, keyID: nil)
      verdict.answer = [
        "\(finding.role) signed \(finding.objects)", "\(finding.first)",
        "\(finding.second)",
      ]
      let name = evidence.layer == 3 ? "roots" : "ids"
      return "2 signatures by \(finding.role), \(name) \(finding.first) and \(finding.second)"
    } catch let fault as Fault {
      var fault = fault
      fault.offset = fault.offset ?? place
      throw fault
    } catch {
      throw .failed("\(error)", at: place)
    }
  }
}
