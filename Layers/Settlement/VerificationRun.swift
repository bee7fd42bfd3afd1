import Commitments
import Primitives
import Wire

/// A signed header as it stands in a file, with its body where there is one.
struct SignedObject<Header: FlatRecord> {
  let header: Header
  let signature: Signature
  /// Nil where a proof carries the header alone.
  let body: [UInt8]?
  /// File offset of the header.
  let offset: Int
  var bodyOffset: Int { offset + MemoryLayout<Header>.size + Signature.byteCount }
}

/// One file on its way to a verdict.
struct VerificationRun {
  let verifier: FileVerifier
  let file: BundleFile
  var verdict: Verdict
  let required: [VerificationLevel]

  var genesis: Genesis?
  var batches: [SignedObject<ExecutionHeader>] = []
  var clearances: [SignedObject<ClearingHeader>] = []
  /// What the replayed state says to the question asked.
  var replayAnswer: Result<[String], Fault>?
  /// The newest clearing header that a good checkpoint covers.
  var settled: BatchNumber?

  init(
    verifier: FileVerifier, file: BundleFile, verdict: Verdict, required: [VerificationLevel]
  ) {
    self.verifier = verifier
    self.file = file
    self.verdict = verdict
    self.required = required
  }

  mutating func perform(
    into checks: inout [Check], _ signatures: FileVerifier.SignatureCheck,
    _ progress: FileVerifier.Progress
  ) {
    var open: VerificationLevel?
    for name in required {
      if let open {
        checks.append(
          Check(name, .undecided, "rests on \(open.rawValue), which could not be decided"))
        continue
      }
      do throws(Fault) {
        let reason =
          switch name {
          case .framing: "\(file.sections.count) sections"
          case .chain: try chain()
          case .replay: try replay(signatures, progress)
          case .log: try log()
          case .inclusion: try inclusion()
          }
        checks.append(Check(name, .pass, reason))
      } catch {
        checks.append(error.check(name))
        limitLastGood(error)
        if error.status == .fail { return }
        if name == .chain { open = name }
      }
    }
  }

  /// A fault at a batch leaves the one before as the last good.
  private mutating func limitLastGood(_ fault: Fault) {
    guard let batch = fault.batch, let first = verdict.first else { return }
    let good = batch > first ? BatchNumber(batch.raw - 1) : nil
    guard let last = verdict.lastGood, let good else {
      verdict.lastGood = nil
      return
    }
    verdict.lastGood = min(last, good)
  }

  // MARK: - Genesis

  /// The pinned genesis, from the auditor or from the file.
  mutating func resolveGenesis() throws(Fault) -> Genesis {
    if let genesis { return genesis }
    guard let pin = verifier.pin else { throw .undecided("no genesis is pinned") }
    guard pin.network == file.manifest.network else {
      throw .failed(
        "the file is of another network", at: file.offset(of: .manifest).map { $0 + 8 },
        expected: "\(pin.network)", found: "\(file.manifest.network)",
        meaning: "Nothing here was signed for the network you pinned.")
    }
    verdict.isPinned = true
    if let section = file[.genesis], ObjectID.genesis(section.rawSpan) != pin.network {
      throw .failed(
        "the file's genesis is not the pinned one", at: file.offset(of: .genesis),
        expected: "\(pin.network)", found: "\(ObjectID.genesis(section.rawSpan))")
    }
    let genesis: Genesis
    switch pin {
    case .genesis(let pinned): genesis = pinned
    case .hash:
      guard let section = file[.genesis] else {
        throw .undecided("the genesis section is missing, and only its hash is pinned")
      }
      do {
        genesis = try Genesis(encoded: section.rawSpan)
      } catch {
        throw .undecided("this build cannot read the pinned genesis: \(error)")
      }
    }
    verdict.anchor = "genesis \(pin.network)"
    self.genesis = genesis
    return genesis
  }

  // MARK: - Objects

  /// The objects of a section, each a signed header and its body.
  func objects<Header: FlatRecord>(
    _ type: SectionType, _: Header.Type, bodyByteCount: (Header) -> Int,
    isHeaderAlone: Bool
  ) throws(Fault) -> [SignedObject<Header>] {
    guard let section = file[type], let place = file.offset(of: type) else {
      throw .undecided("section \(type) is missing")
    }
    let list: ObjectList
    do {
      list = try ObjectList(section)
    } catch {
      throw .failed("section \(type) is no list of objects: \(error)", at: place)
    }
    let headByteCount = MemoryLayout<Header>.size + Signature.byteCount
    var out: [SignedObject<Header>] = []
    out.reserveCapacity(list.count)
    for range in list.ranges {
      let offset = place + range.lowerBound
      guard range.count >= headByteCount else {
        throw .failed(
          "an object of section \(type) is too short", at: offset,
          expected: "at least \(headByteCount) bytes", found: "\(range.count)")
      }
      let span = section.rawSpan
      let header = Header(span, at: range.lowerBound)
      let signature = Signature(span, at: range.lowerBound + MemoryLayout<Header>.size)
      let bodyLength = range.count - headByteCount
      guard bodyLength == bodyByteCount(header) || isHeaderAlone && bodyLength == 0 else {
        throw .failed(
          "the body's length in section \(type)", at: offset + headByteCount,
          expected: "\(bodyByteCount(header))", found: "\(bodyLength)")
      }
      out.append(
        SignedObject(
          header: header, signature: signature,
          body: isHeaderAlone && bodyLength == 0
            ? nil : Array(section[(range.lowerBound + headByteCount)..<range.upperBound]),
          offset: offset))
    }
    return out
  }

  mutating func sign(_ role: String, _ key: PublicKey, keyID: UInt32? = nil) {
    let own = key.withBytes { SHA256.digest($0) }.withBytes {
      Hexadecimal.text($0.extracting(0..<4))
    }
    let noteID = keyID.map { id in
      var out = ByteWriter()
      out.write(id.bigEndian)
      let bytes = out.bytes
      return Hexadecimal.text(bytes.rawSpan)
    }
    let signer = Verdict.Signer(role: role, keyID: noteID ?? own, key: key)
    if !verdict.signers.contains(signer) { verdict.signers.append(signer) }
  }
}
