import Clearing
import Commitments
import Execution
import Instruments
import Primitives
import Wire

extension VerificationRun {
  /// Client signatures checked in one go: enough for the caller to share out.
  static let signaturesPerCheck = 4_096

  /// Every client signature, and every root by re-execution of both machines.
  mutating func replay(
    _ signatures: FileVerifier.SignatureCheck, _ progress: FileVerifier.Progress
  ) throws(Fault) -> String {
    let genesis = try resolveGenesis()
    guard file.manifest.kind == .range else {
      throw .undecided("a file of kind \(file.manifest.kind) has no bodies to replay")
    }
    guard batches.allSatisfy({ $0.body != nil }), clearances.allSatisfy({ $0.body != nil }) else {
      throw .undecided("bodies are missing")
    }
    var replay = try start(genesis)
    var pending = PendingSignatures()
    for index in batches.indices {
      let batch = batches[index]
      let clearance = clearances[index]
      let signedBatch = SignedBatch(
        header: batch.header, signature: batch.signature, body: batch.body ?? [])
      let signedClearance = SignedClearance(
        header: clearance.header, signature: clearance.signature, body: clearance.body ?? [])
      do throws(Difference) {
        let body = try replay.replayExecution(signedBatch)
        pending.append(body.bundles, index)
        _ = try replay.replayClearing(signedBatch, body, signedClearance)
        replay.seal()
        look(in: body, index, genesis, replay)
      } catch {
        // An earlier forged signature is the first fault.
        try check(&pending, signatures)
        throw fault(error, index)
      }
      if pending.bundles.count >= VerificationRun.signaturesPerCheck {
        try check(&pending, signatures)
      }
      progress(index + 1, batches.count)
    }
    try check(&pending, signatures)
    answer(from: &replay, genesis)
    return "\(replay.bundleCount) transactions, final state root \(replay.clearing.root)"
  }

  /// Both machines at genesis, or as the file's pre-state has them once the first headers agree.
  private func start(_ genesis: Genesis) throws(Fault) -> Replay {
    if file.manifest.first.raw == 0 { return Replay(genesis: genesis) }
    guard let section = file[.preState], let place = file.offset(of: .preState) else {
      throw .undecided("the pre-state section is missing", file.manifest.first)
    }
    let meaning = "The state this file begins from is not the one the layers signed."
    let head: SnapshotHead
    do {
      head = try SnapshotHead(section)
    } catch {
      throw .failed("the pre-state: \(error)", file.manifest.first, at: place, meaning: meaning)
    }
    let execution = batches[0].header
    let clearing = clearances[0].header
    let pairs: [(String, Digest, Digest)] = [
      ("execution's root", execution.preRoot, head.executionRoot),
      ("execution's last id", execution.previous, head.executionID),
      ("clearing's root", clearing.preRoot, head.clearingRoot),
      ("clearing's last id", clearing.previous, head.clearingID),
      ("the log's root", clearing.logRootBefore, head.log.root),
    ]
    for (name, signed, found) in pairs where signed != found {
      throw .failed(
        "\(name) in the pre-state", file.manifest.first, at: place, expected: "\(signed)",
        found: "\(found)", meaning: meaning)
    }
    do {
      return try Replay.resumed(genesis: genesis, snapshot: section)
    } catch {
      throw .failed("the pre-state: \(error)", file.manifest.first, at: place, meaning: meaning)
    }
  }

  private func fault(_ difference: Difference, _ index: Int) -> Fault {
    let isHeaderField =
      (difference.layer == .execution ? HeaderFields.execution : HeaderFields.clearing)
      .contains { $0.name == difference.field }
    let object = difference.layer == .execution ? batches[index].offset : clearances[index].offset
    let body =
      difference.layer == .execution ? batches[index].bodyOffset : clearances[index].bodyOffset
    let name = difference.layer == .execution ? "Execution" : "Clearing"
    return .failed(
      "\(name.lowercased())'s \(difference.field)", difference.batch,
      at: isHeaderField ? object + difference.offset : body, expected: difference.expected,
      found: difference.found,
      meaning: "\(name) signed this, and re-executing the batch gives something else.")
  }

  private func check(_ pending: inout PendingSignatures, _ signatures: FileVerifier.SignatureCheck)
    throws(Fault)
  {
    defer { pending = PendingSignatures() }
    guard !pending.bundles.isEmpty,
      let place = signatures(pending.bundles, file.manifest.network)
    else { return }
    let (index, bundle) = pending.place(of: place)
    let header = pending.bundles[place].header
    let batch = batches[index]
    let before = (place - bundle..<place).reduce(8) { $0 + pending.bundles[$1].bytes.count }
    throw .failed(
      "the signature of bundle \(bundle)", batch.header.batch, at: batch.bodyOffset + before,
      expected: "a signature by \(header.key)", found: "\(pending.bundles[place].signature)",
      meaning: "Account \(header.account) never signed this transaction, and execution, which "
        + "signed the batch, let it in.")
  }

  // MARK: - Questions to a replayed range

  /// Finds the fill of the trade asked for.
  private mutating func look(
    in body: BatchBody, _ index: Int, _ genesis: Genesis, _ replay: borrowing Replay
  ) {
    guard replayAnswer == nil else { return }
    if case .auctionStart(let number)? = verifier.question {
      return look(for: number, in: replay.receipts, index)
    }
    guard case .trade(let trade)? = verifier.question else { return }
    for event in 0..<body.eventCount where body.eventKind(event) == .fill {
      let fill = body.event(event, as: Fill.self)
      if fill.trade == trade {
        replayAnswer = .success(
          ["batch \(batches[index].header.batch)"]
            + Answers.lines(of: fill, genesis, listed: VerificationRun.listed(replay)))
      }
    }
  }

  /// Finds the receipt of the auction asked for.
  private mutating func look(for auction: UInt64, in receipts: [UInt8], _ index: Int) {
    for place in stride(from: 0, to: receipts.count, by: Receipt.byteCount) {
      let receipt = Receipt(receipts.rawSpan, at: place)
      guard receipt.kind == .auctionStart, receipt.id == auction else { continue }
      replayAnswer = .success(
        ["batch \(batches[index].header.batch)"] + Answers.lines(ofStart: receipt))
    }
  }

  /// Every instrument the replay knows.
  private static func listed(_ replay: borrowing Replay) -> [Instrument] {
    var found: [Instrument] = []
    for number in 0..<replay.execution.instrumentCount {
      if let terms = replay.execution.instrument(InstrumentID(UInt32(number))) {
        found.append(terms)
      }
    }
    return found
  }

  private mutating func answer(from replay: inout Replay, _ genesis: Genesis) {
    switch verifier.question {
    case .account(let account)?:
      let proof = replay.clearing.accountProof(account)
      guard proof.stateRoot == replay.clearing.root else {
        replayAnswer = .failure(.failed("account \(account) is not under the replayed root"))
        return
      }
      let lines = Answers.lines(of: proof, genesis, listed: VerificationRun.listed(replay))
      replayAnswer =
        lines.map { .success($0) }
        ?? .failure(
          .failed("account \(account)'s record"))
    case .trade(let trade)? where replayAnswer == nil:
      replayAnswer = .failure(
        .undecided(
          "trade \(trade) is not in batches \(file.manifest.first)..\(file.manifest.last)"))
    case .auctionStart(let number)? where replayAnswer == nil:
      replayAnswer = .failure(
        .undecided(
          "auction \(number) did not begin in batches "
            + "\(file.manifest.first)..\(file.manifest.last)"))
    case .trade?, .auctionStart?, nil: break
    }
  }
}

/// Bundles whose signatures are still to be checked, and where they come from.
private struct PendingSignatures {
  var bundles: [Bundle] = []
  /// First bundle of each batch.
  private var starts: [(bundle: Int, batch: Int)] = []

  mutating func append(_ more: [Bundle], _ batch: Int) {
    starts.append((bundles.count, batch))
    bundles += more
  }

  /// The batch of a bundle and its place in there.
  func place(of bundle: Int) -> (batch: Int, bundle: Int) {
    let start = starts.last { $0.bundle <= bundle } ?? (0, 0)
    return (start.batch, bundle - start.bundle)
  }
}
