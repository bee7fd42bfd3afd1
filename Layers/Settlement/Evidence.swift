import Commitments
public import Primitives
import Wire

extension EquivocationEvidence {
  /// What valid evidence shows.
  struct Finding {
    var role: String
    var key: PublicKey
    var batch: BatchNumber
    /// What there are two of: in a sentence after the role.
    var objects: String
    var first: Digest
    var second: Digest
  }

  /// Checks both signatures and that the ids differ for one network, role and batch.
  func finding(genesis: Genesis, network: Digest) throws(Fault) -> Finding {
    switch layer {
    case 1:
      return try finding(
        "execution", genesis.execution.object, ExecutionHeader.self, network
      ) { ($0.network, $0.batch, $0.id) }
    case 2:
      return try finding(
        "clearing", genesis.clearing.object, ClearingHeader.self, network
      ) { ($0.network, $0.batch, $0.id) }
    case 3: return try noteFinding(genesis)
    case 4: return try promiseFinding(genesis, network)
    default: throw .failed("the evidence names no layer", found: "\(layer)")
    }
  }

  private func finding<Header: FlatRecord>(
    _ role: String, _ key: PublicKey, _: Header.Type, _ network: Digest,
    _ read: (Header) -> (network: Digest, batch: BatchNumber, id: Digest)
  ) throws(Fault) -> Finding {
    var ids: [Digest] = []
    var batches: [BatchNumber] = []
    for object in [first, second] {
      let size = MemoryLayout<Header>.size
      guard object.count == size + Signature.byteCount else {
        throw .failed(
          "a header of \(role) and a signature", expected: "\(size + Signature.byteCount) bytes",
          found: "\(object.count)")
      }
      let span = object.rawSpan
      let (found, batch, id) = read(Header(span))
      guard found == network else {
        throw .failed("a header of another network", expected: "\(network)", found: "\(found)")
      }
      guard Ed25519.isValid(Signature(span, at: size), of: id, by: key) else {
        throw .failed(
          "\(role)'s signature", batch, expected: "a signature by \(key)",
          meaning: "The evidence is forged: \(role) did not sign this header.")
      }
      ids.append(id)
      batches.append(batch)
    }
    guard batches[0] == batches[1], ids[0] != ids[1] else {
      throw .failed(
        "two headers that contradict each other", expected: "one batch, two ids",
        found: "batches \(batches[0]) and \(batches[1])",
        meaning: "\(role) signed both, and they do not contradict each other.")
    }
    return Finding(
      role: role, key: key, batch: batches[0], objects: "two headers for batch \(batches[0])",
      first: ids[0], second: ids[1])
  }

  /// Two checkpoints of one size and two roots. The log has one root of each size.
  private func noteFinding(_ genesis: Genesis) throws(Fault) -> Finding {
    var checkpoints: [Checkpoint] = []
    for object in [first, second] { checkpoints.append(try checkpoint(object, genesis)) }
    let (a, b) = (checkpoints[0], checkpoints[1])
    guard a.size == b.size, a.root != b.root else {
      throw .failed(
        "two checkpoints that contradict each other", expected: "one size, two roots",
        found: "sizes \(a.size) and \(b.size)",
        meaning: "Settlement signed both, and they do not contradict each other.")
    }
    return Finding(
      role: "settlement", key: genesis.settlementNote.key,
      batch: BatchNumber(UInt64(a.size - 1)), objects: "two checkpoints of size \(a.size)",
      first: a.root, second: b.root)
  }

  private func checkpoint(_ bytes: [UInt8], _ genesis: Genesis) throws(Fault) -> Checkpoint {
    do {
      let note = try SignedNote(parsing: bytes)
      let found = try Checkpoint(parsing: note.text)
      let log = try NoteVerifier(
        name: genesis.settlementNote.name, key: genesis.settlementNote.key)
      guard found.origin == log.name, found.size > 0 else {
        throw Fault.failed(
          "a checkpoint of another log", expected: log.name, found: "\(found.origin)")
      }
      _ = try note.verified(by: [log])
      return found
    } catch let fault as Fault {
      throw fault
    } catch {
      throw .failed(
        "settlement's checkpoint: \(error)",
        meaning: "The evidence is forged: settlement did not sign this checkpoint.")
    }
  }
}

/// Two bundle files side by side.
public enum Comparison {
  public enum Outcome: Sendable {
    /// The same role signed two headers for one batch, or settlement two checkpoints of the size
    /// that ends with it: the file of evidence.
    case equivocation(role: String, batch: BatchNumber, evidence: [UInt8])
    /// Execution acknowledged a bundle at a place of a batch where another stands, or none.
    case brokenPromise(bundle: Digest, batch: BatchNumber, index: UInt32, evidence: [UInt8])
    /// Headers of this many batches stand in both files, and agree.
    case none(common: Int)
    /// This many acknowledgements are of batches in the file, and are kept.
    case kept(Int)
    case undecided(String)
    /// A file that is no bundle file.
    case failed(String)

    public var exitCode: Int32 {
      switch self {
      case .equivocation, .brokenPromise: 4
      case .none, .kept: 0
      case .undecided: 3
      case .failed: 1
      }
    }
  }

  /// Looks for a batch whose headers differ, and for a size whose checkpoints do, and are validly
  /// signed in both files.
  public static func compare(_ a: [UInt8], _ b: [UInt8]) -> Outcome {
    if KeptAcknowledgements.isOne(a) { return comparePromises(a, b) }
    if KeptAcknowledgements.isOne(b) { return comparePromises(b, a) }
    let files: [BundleFile]
    do {
      files = [try BundleFile(a), try BundleFile(b)]
    } catch {
      return .failed("\(error)")
    }
    let network = files[0].manifest.network
    guard files[1].manifest.network == network else {
      return .undecided("the files are of two networks")
    }
    guard let section = files[0][.genesis] ?? files[1][.genesis] else {
      return .undecided("neither file carries genesis, so no signature can be checked")
    }
    guard ObjectID.genesis(section.rawSpan) == network else {
      return .failed("the genesis section is not the network's")
    }
    let genesis: Genesis
    do {
      genesis = try Genesis(encoded: section.rawSpan)
    } catch {
      return .undecided("this build cannot read genesis: \(error)")
    }
    let headers = compareHeaders(files, genesis, network)
    if headers.exitCode == 4 { return headers }
    // A forged header does not hide two checkpoints.
    let notes = compareNotes(files, genesis, network)
    return notes?.exitCode == 4 || headers.exitCode != 1 ? notes ?? headers : headers
  }

  /// Nil where no two checkpoints contradict each other.
  private static func compareNotes(_ files: [BundleFile], _ genesis: Genesis, _ network: Digest)
    -> Outcome?
  {
    var seen: [Int: (root: Digest, note: [UInt8])] = [:]
    for file in files {
      guard let section = file[.checkpoints] else { continue }
      do {
        let list = try ObjectList(section)
        for index in 0..<list.count {
          let note = try SignedNote(parsing: list.object(index))
          let checkpoint = try Checkpoint(parsing: note.text)
          let bytes = try settlementsAlone(note, genesis)
          guard let first = seen[checkpoint.size] else {
            seen[checkpoint.size] = (checkpoint.root, bytes)
            continue
          }
          guard first.root != checkpoint.root else { continue }
          let evidence = EquivocationEvidence(layer: 3, first: first.note, second: bytes)
          do throws(Fault) {
            let finding = try evidence.finding(genesis: genesis, network: network)
            return .equivocation(
              role: finding.role, batch: finding.batch,
              evidence: BundleFileBuilder.evidence(
                genesis: genesis, evidence, batch: finding.batch))
          } catch {
            return .failed(
              "checkpoint \(checkpoint.size) differs, and settlement did not sign both")
          }
        }
      } catch {
        return .failed("a section of checkpoints that does not parse: \(error)")
      }
    }
    return nil
  }

  /// The note with settlement's line and no other: witnesses are no part of the proof.
  private static func settlementsAlone(_ note: SignedNote, _ genesis: Genesis) throws -> [UInt8] {
    let log = try NoteVerifier(name: genesis.settlementNote.name, key: genesis.settlementNote.key)
    var alone = try SignedNote(text: note.text)
    for line in note.signatures where line.name == log.name && line.keyID == log.keyID {
      alone.append(line)
      break
    }
    return Array(alone.serialized.utf8)
  }

  private static func compareHeaders(_ files: [BundleFile], _ genesis: Genesis, _ network: Digest)
    -> Outcome
  {
    var common: Set<UInt64> = []
    for (layer, type, size, place) in [
      (UInt16(1), SectionType.batches, ExecutionHeader.byteCount, 40),
      (UInt16(2), SectionType.clearances, ClearingHeader.byteCount, 40),
    ] {
      var heads: [[UInt64: [UInt8]]] = []
      for file in files {
        guard let found = headers(file, type, size: size, batchAt: place) else {
          return .failed("a section of headers that does not parse, or holds a batch twice")
        }
        heads.append(found)
      }
      for (batch, first) in heads[0].sorted(by: { $0.key < $1.key }) {
        guard let second = heads[1][batch] else { continue }
        common.insert(batch)
        guard first[..<size] != second[..<size] else { continue }
        let evidence = EquivocationEvidence(layer: layer, first: first, second: second)
        let finding: EquivocationEvidence.Finding
        do {
          finding = try evidence.finding(genesis: genesis, network: network)
        } catch {
          // A header nobody signed accuses nobody, but neither does its file agree.
          return .failed("batch \(batch) differs, and not both headers are signed")
        }
        return .equivocation(
          role: finding.role, batch: finding.batch,
          evidence: BundleFileBuilder.evidence(
            genesis: genesis, evidence, batch: finding.batch))
      }
    }
    guard !common.isEmpty else { return .undecided("no batch stands in both files") }
    return .none(common: common.count)
  }

  /// header || signature of every object, by batch; nil when the section is at fault.
  private static func headers(
    _ file: BundleFile, _ type: SectionType, size: Int, batchAt place: Int
  ) -> [UInt64: [UInt8]]? {
    guard let section = file[type] else { return [:] }
    let list: ObjectList
    do {
      list = try ObjectList(section)
    } catch {
      return nil
    }
    var out: [UInt64: [UInt8]] = [:]
    for range in list.ranges {
      guard range.count >= size + Signature.byteCount else { return nil }
      let start = range.lowerBound
      let batch: UInt64 = section.rawSpan.load(at: start + place)
      guard out[batch] == nil else { return nil }
      out[batch] = Array(section[start..<(start + size + Signature.byteCount)])
    }
    return out
  }
}
