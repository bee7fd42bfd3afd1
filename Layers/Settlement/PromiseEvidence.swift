import Commitments
public import Primitives
public import Wire

extension EquivocationEvidence {
  /// Execution's acknowledgement of a bundle at a place of a batch, and its header of that batch under
  /// which another bundle stands there, or none.
  func promiseFinding(_ genesis: Genesis, _ network: Digest) throws(Fault) -> Finding {
    let key = genesis.execution.object
    let promise: SignedAcknowledgement
    let place: BatchPlace
    do throws(DecodingFailure) {
      promise = try SignedAcknowledgement(decoding: first.rawSpan)
      place = try BatchPlace(decoding: second.rawSpan)
    } catch {
      throw .failed("an acknowledgement and the place of a batch: \(error)")
    }
    let (batch, index) = (promise.leaf.batch, promise.leaf.index)
    guard promise.isValid(by: key, network: network) else {
      throw .failed(
        "execution's acknowledgement", batch, expected: "a signature by \(key)",
        meaning: "The evidence is forged: execution did not sign this acknowledgement.")
    }
    guard place.header.network == network, place.header.batch == batch,
      Ed25519.isValid(place.signature, of: place.header.id, by: key)
    else {
      throw .failed(
        "execution's header of batch \(batch)", batch, expected: "a signature by \(key)",
        meaning: "The evidence is forged: execution did not sign this header of that batch.")
    }
    return Finding(
      role: "execution", key: key, batch: batch,
      objects: "a promise of place \(index) in batch \(batch), and that batch without it",
      first: promise.leaf.bundle, second: try place.found(at: index, network: network, promise))
  }
}

extension BatchPlace {
  /// Whether execution signed the header, and the bundle stands at the place under it.
  fileprivate func stands(at index: UInt32, _ genesis: Genesis) -> Bool {
    header.network == genesis.networkID
      && Ed25519.isValid(signature, of: header.id, by: genesis.execution.object)
      && MerkleLog.isIncluded(
        leaf: MerkleLog.leafHash(bundle.rawSpan), index: Int(index),
        size: Int(header.bundleCount), proof: path, root: header.transactionRoot)
  }

  /// What stands at the place instead of what was promised: the id of a bundle, or zero for none.
  fileprivate func found(at index: UInt32, network: Digest, _ promise: SignedAcknowledgement)
    throws(Fault) -> Digest
  {
    let batch = header.batch
    guard index < header.bundleCount else {
      guard bundle.isEmpty && path.isEmpty else {
        throw .failed("nothing at a place behind the batch's end", batch, found: "a bundle")
      }
      return .zero
    }
    guard
      MerkleLog.isIncluded(
        leaf: MerkleLog.leafHash(bundle.rawSpan), index: Int(index),
        size: Int(header.bundleCount), proof: path, root: header.transactionRoot)
    else {
      throw .failed(
        "the bundle at place \(index)", batch, expected: "a path to \(header.transactionRoot)",
        meaning: "The evidence is forged: this bundle does not stand there.")
    }
    // What does not decode is not what was promised: that had an id.
    let id: Digest
    do throws(DecodingFailure) {
      id = try Bundle(bundle).id(network: network)
    } catch {
      return MerkleLog.leafHash(bundle.rawSpan)
    }
    guard id != promise.leaf.bundle else {
      throw .failed(
        "a promise that was broken", batch, expected: "another bundle than \(id)", found: "it",
        meaning: "The batch holds what was promised, where it was promised.")
    }
    return id
  }
}

extension SignedAcknowledgement {
  /// Evidence that `batch`, the batch the acknowledgement names, does not keep it; nil where it
  /// does. The signatures under both are the caller's to check.
  /// - Throws: `DecodingFailure` for a body that does not decode.
  public func breach(by batch: SignedBatch, network: Digest) throws(DecodingFailure)
    -> EquivocationEvidence?
  {
    let place = try BatchPlace(leaf.index, of: batch)
    guard !Comparison.isKept(self, place, network) else { return nil }
    return EquivocationEvidence(layer: 4, first: encoded, second: place.encoded)
  }
}

extension Comparison {
  /// Looks for an acknowledgement that its batch does not keep.
  static func comparePromises(_ promises: [UInt8], _ batches: [UInt8]) -> Outcome {
    let file: BundleFile
    let kept: [SignedAcknowledgement]
    do throws(BundleFileFailure) {
      file = try BundleFile(batches)
    } catch {
      return .failed("\(error)")
    }
    do throws(DecodingFailure) {
      kept = try KeptAcknowledgements.decoded(promises)
    } catch {
      return .failed("\(error)")
    }
    guard let section = file[.genesis], let objects = file[.batches] else {
      return .undecided("the file carries no batches, or no genesis to check signatures by")
    }
    do throws(DecodingFailure) {
      let genesis = try Genesis(encoded: section.rawSpan)
      guard genesis.networkID == file.manifest.network else {
        return .failed("the genesis section is not the network's")
      }
      return try judge(kept, ObjectList(objects), genesis)
    } catch {
      return .failed("\(error)")
    }
  }

  private static func judge(
    _ kept: [SignedAcknowledgement], _ objects: ObjectList, _ genesis: Genesis
  ) throws(DecodingFailure) -> Outcome {
    var places: [BatchNumber: Int] = [:]
    for index in 0..<objects.count {
      let bytes = objects.object(index)
      guard bytes.count >= ExecutionHeader.byteCount else {
        throw .truncated(offset: 0, needed: ExecutionHeader.byteCount - bytes.count)
      }
      // In proofs a batch stands without its body; such a file cannot tell what is in it.
      guard bytes.count > ExecutionHeader.byteCount + Signature.byteCount else { continue }
      places[ExecutionHeader(bytes.rawSpan).batch] = index
    }
    var count = 0
    for promise in kept {
      guard let index = places[promise.leaf.batch] else { continue }
      let bytes = objects.object(index)
      let batch = try SignedBatch(encoded: bytes.rawSpan)
      let place = try BatchPlace(promise.leaf.index, of: batch)
      let evidence = EquivocationEvidence(
        layer: 4, first: promise.encoded, second: place.encoded)
      if isKept(promise, place, genesis.networkID) {
        guard place.stands(at: promise.leaf.index, genesis) else {
          return .failed(
            "execution did not sign batch \(promise.leaf.batch) as it stands in the file")
        }
        guard promise.isValid(by: genesis.execution.object, network: genesis.networkID) else {
          return .failed(
            "execution did not sign an acknowledgement for batch \(promise.leaf.batch)")
        }
        count += 1
        continue
      }
      do throws(Fault) {
        let finding = try evidence.finding(genesis: genesis, network: genesis.networkID)
        return .brokenPromise(
          bundle: promise.leaf.bundle, batch: finding.batch, index: promise.leaf.index,
          evidence: BundleFileBuilder.evidence(genesis: genesis, evidence, batch: finding.batch))
      } catch {
        return .failed("\(error)")
      }
    }
    return count > 0 ? .kept(count) : .undecided("no acknowledged batch stands in the file")
  }

  fileprivate static func isKept(
    _ promise: SignedAcknowledgement, _ place: BatchPlace, _ network: Digest
  ) -> Bool {
    do throws(DecodingFailure) {
      return try Bundle(place.bundle).id(network: network) == promise.leaf.bundle
    } catch {
      return false
    }
  }
}
