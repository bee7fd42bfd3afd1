import Commitments
import Primitives
import Wire

extension VerificationRun {
  /// A checkpoint whose signatures were checked.
  private struct Sealed {
    let checkpoint: Checkpoint
    let witnesses: [(name: String, key: PublicKey)]
    let isSettled: Bool
  }

  /// The log's root from the clearing headers, under a checkpoint that settlement and a quorum of
  /// witnesses signed.
  mutating func log() throws(Fault) -> String {
    let genesis = try resolveGenesis()
    guard file.manifest.kind != .evidence else { throw .undecided("evidence is in no log") }
    let notes = try checkpoints(genesis)
    let roots = file.manifest.kind == .range ? try recomputedRoots(notes) : nil
    let proof = roots == nil ? try logProof() : nil
    var best: Sealed?
    var covered: Sealed?
    for (note, offset) in notes {
      let size = UInt64(note.checkpoint.size)
      if let roots {
        guard let root = roots[note.checkpoint.size] else { continue }
        try compare(note.checkpoint, root, offset)
      } else if let proof {
        guard proof.size == size else { continue }
        guard let header = clearances.first?.header,
          proof.holds(leaf: header.logLeaf, root: note.checkpoint.root)
        else {
          throw .failed(
            "the log proof does not lead to the checkpoint's root", file.manifest.first,
            at: file.offset(of: .logProof), expected: "\(note.checkpoint.root)")
        }
      }
      if size > UInt64(covered?.checkpoint.size ?? 0) { covered = note }
      if note.isSettled, size > UInt64(best?.checkpoint.size ?? 0) { best = note }
    }
    return try settle(best, covered)
  }

  private mutating func settle(_ best: Sealed?, _ covered: Sealed?) throws(Fault) -> String {
    let witnesses = (best ?? covered)?.witnesses.map(\.name) ?? []
    verdict.witnesses.have = witnesses
    guard let covered else {
      throw .undecided(
        "signed by clearing, not settled: no checkpoint covers \(span(file.manifest.first))",
        file.manifest.first)
    }
    guard let best else {
      throw .undecided(
        "checkpoint \(covered.checkpoint.size) lacks the quorum: \(quorumText(witnesses))",
        file.manifest.first)
    }
    let next = UInt64(best.checkpoint.size)
    guard next > file.manifest.last.raw else {
      let open = BatchNumber(max(next, file.manifest.first.raw))
      throw .undecided("signed by clearing, not settled: \(span(open))", open)
    }
    settled = file.manifest.last
    verdict.anchor =
      "genesis \(file.manifest.network), checkpoint \(best.checkpoint.size) "
      + "\(best.checkpoint.root)"
    return "size \(best.checkpoint.size), root \(best.checkpoint.root), "
      + quorumText(witnesses)
  }

  private func span(_ first: BatchNumber) -> String {
    first == file.manifest.last
      ? "batch \(first)" : "batches \(first)..\(file.manifest.last)"
  }

  private func quorumText(_ have: [String]) -> String {
    let names = have.isEmpty ? "" : " (\(have.joined(separator: " ")))"
    return "quorum \(verdict.witnesses.quorum), have \(have.count)\(names)"
  }

  private func compare(_ checkpoint: Checkpoint, _ root: Digest, _ offset: Int) throws(Fault) {
    guard checkpoint.root != root else { return }
    throw .failed(
      "the checkpoint of size \(checkpoint.size) has another root", file.manifest.first,
      at: offset, expected: "\(root)", found: "\(checkpoint.root)",
      meaning: "Settlement signed a log that these clearing headers are not in.")
  }

  /// The roots at the sizes the checkpoints name, from the clearing headers. A range that begins
  /// later begins from its pre-state's edge.
  private func recomputedRoots(_ notes: [(Sealed, Int)]) throws(Fault) -> [Int: Digest] {
    var frontier = LogFrontier()
    if file.manifest.first.raw > 0 {
      guard let section = file[.preState] else {
        throw .undecided("the pre-state, with the log's edge, is missing", file.manifest.first)
      }
      do {
        frontier = try SnapshotHead(section).log
      } catch {
        throw .failed(
          "the pre-state: \(error)", file.manifest.first, at: file.offset(of: .preState))
      }
    }
    let sizes = Set(notes.map(\.0.checkpoint.size))
    var roots: [Int: Digest] = [:]
    if frontier.size > 0, sizes.contains(frontier.size) { roots[frontier.size] = frontier.root }
    for object in clearances {
      let header = object.header
      let root = frontier.root
      guard header.logRootBefore == root, header.logSizeBefore == UInt64(frontier.size) else {
        throw .failed(
          "log_root_before of clearing's header", header.batch,
          at: object.offset + ClearingHeader.byteCount - 32, expected: "\(root)",
          found: "\(header.logRootBefore)",
          meaning: "Clearing signed a log that is not the log of the headers before.")
      }
      frontier.append(leafHash: header.logLeaf)
      if sizes.contains(frontier.size) { roots[frontier.size] = frontier.root }
    }
    return roots
  }

  private func logProof() throws(Fault) -> LogProof {
    guard let section = file[.logProof] else {
      throw .undecided("signed by clearing, not settled: no log proof", file.manifest.first)
    }
    do {
      let proof = try LogProof(decoding: section.rawSpan)
      guard proof.index == file.manifest.first.raw else {
        throw Fault.failed(
          "the log proof is of another batch", file.manifest.first,
          at: file.offset(of: .logProof), expected: "\(file.manifest.first)",
          found: "\(proof.index)")
      }
      return proof
    } catch let fault as Fault {
      throw fault
    } catch {
      throw .failed("the log proof: \(error)", file.manifest.first, at: file.offset(of: .logProof))
    }
  }

  // MARK: - Notes

  private mutating func checkpoints(_ genesis: Genesis) throws(Fault) -> [(Sealed, Int)] {
    guard let section = file[.checkpoints], let place = file.offset(of: .checkpoints) else {
      throw .undecided(
        "signed by clearing, not settled: section checkpoints is missing", file.manifest.first)
    }
    setQuorum(genesis)
    if let policy = verifier.policy, !policy.logs.isEmpty,
      !policy.logs.contains(where: { $0.key == genesis.settlementNote.key })
    {
      throw .undecided("the policy does not name this log's key \(genesis.settlementNote.key)")
    }
    do {
      let list = try ObjectList(section)
      var notes: [(Sealed, Int)] = []
      for index in 0..<list.count {
        let offset = place + list.ranges[index].lowerBound
        do {
          notes.append((try seal(list.object(index), genesis), offset))
        } catch {
          throw Fault.failed(
            "checkpoint \(index): \(error)", at: offset,
            meaning: "The note was not signed as it says; anyone may have written it.")
        }
      }
      return notes
    } catch let fault as Fault {
      throw fault
    } catch {
      throw .failed("section checkpoints: \(error)", at: place)
    }
  }

  /// Settlement's signature and those of the witnesses asked for.
  private mutating func seal(_ bytes: [UInt8], _ genesis: Genesis) throws -> Sealed {
    let note = try SignedNote(parsing: bytes)
    let checkpoint = try Checkpoint(parsing: note.text)
    let log = try NoteVerifier(
      name: genesis.settlementNote.name, key: genesis.settlementNote.key)
    guard checkpoint.origin == log.name else {
      throw Fault.failed(
        "origin \(checkpoint.origin), expected \(log.name)")
    }
    _ = try note.verified(by: [log])
    sign("settlement", log.key, keyID: log.keyID)
    var witnesses: [(name: String, key: PublicKey)] = []
    for (name, key) in trustedWitnesses(genesis) {
      // A policy's names are its own; a line's name is part of its key id.
      let lineNames = Set(note.signatures.map(\.name)).sorted()
      for lineName in lineNames {
        let verifier = try NoteVerifier(name: lineName, algorithm: .cosignature, key: key)
        guard note.signatures.contains(where: { $0.name == lineName && $0.keyID == verifier.keyID })
        else { continue }
        _ = try note.verified(by: [verifier])
        if let at = self.verifier.at, let seconds = note.cosignatureTime(by: verifier),
          seconds > at.raw / 1_000
        {
          throw Fault.failed("\(name) cosigned at \(seconds) s, after the time asked about")
        }
        if !witnesses.contains(where: { $0.key == key }) { witnesses.append((name, key)) }
      }
    }
    let keys = witnesses.map(\.key)
    let isSettled =
      verifier.policy.map { $0.satisfied(by: keys) }
      ?? (Int64(keys.count) >= genesis.constants.witnessQuorum)
    return Sealed(checkpoint: checkpoint, witnesses: witnesses, isSettled: isSettled)
  }

  private func trustedWitnesses(_ genesis: Genesis) -> [(String, PublicKey)] {
    if let policy = verifier.policy { return policy.witnesses.map { ($0.name, $0.key) } }
    return genesis.witnesses.map { ($0.name, $0.key) }
  }

  private mutating func setQuorum(_ genesis: Genesis) {
    if let policy = verifier.policy {
      verdict.witnesses.policy = verifier.policyName
      verdict.witnesses.quorum = policy.quorumName
    } else {
      verdict.witnesses.quorum =
        "\(genesis.constants.witnessQuorum) of \(genesis.witnesses.count)"
    }
  }
}

extension Fault: CustomStringConvertible {
  var description: String { reason }
}
