import Client
import Commitments
import Primitives
import Synchronization
import Wire

/// Where a recovering layer is shown what it signed: a running layer, or an operator's bundle file.
enum RecoverySource: Sendable, CustomStringConvertible {
  case address(Address)
  case file(String)

  /// The largest bundle file that is read.
  private static let fileByteCountMax = 4 << 30

  /// A file if there is one of that name, else an address.
  init(_ text: String) throws {
    self = text.hasSuffix(".nvb") || Files.exists(text) ? .file(text) : .address(try Address(text))
  }

  var description: String {
    switch self {
    case .address(let address): "\(address)"
    case .file(let path): path
    }
  }

  /// What a range file holds, as if a layer had sent it to its end.
  static func letters(of path: String, source: Int, genesis: Genesis) throws
    -> [Recovery.Letter]
  {
    let file = try BundleFile(try Files.read(path, byteCountMax: fileByteCountMax))
    guard file.manifest.kind == .range, file.manifest.network == genesis.networkID else {
      throw NodeFailure.configuration("\(path): expected a range of network \(genesis.networkID)")
    }
    var letters: [Recovery.Letter] = []
    for (type, log) in [
      (SectionType.batches, FollowMessage.Log.batches), (.clearances, .clearances),
    ] {
      guard let bytes = file[type] else {
        throw NodeFailure.configuration("\(path): it holds no \(log)")
      }
      var reader = ByteReader(bytes.rawSpan)
      while reader.remaining > 0 {
        let object = try reader.array(Int(try reader.read(UInt32.self)))
        letters.append(try Recovery.Letter(log, object, genesis: genesis))
      }
      letters.append(
        .end(source, EndMessage(log, next: BatchNumber(file.manifest.last.raw + 1))))
    }
    return letters
  }
}

extension Recovery.Letter {
  /// An object of a log, its layer's signature and its body checked.
  init(_ log: FollowMessage.Log, _ object: [UInt8], genesis: Genesis) throws {
    switch log {
    case .batches:
      let batch = try SignedBatch(encoded: object.rawSpan)
      guard batch.header.network == genesis.networkID,
        SHA256.digest(batch.body) == batch.header.bodyHash,
        Ed25519.isValid(batch.signature, of: batch.header.id, by: genesis.execution.object)
      else { throw NodeFailure.state("batch \(batch.header.batch) is not execution's") }
      self = .batch(batch, encoded: object)
    case .clearances:
      let clearance = try SignedClearance(encoded: object.rawSpan)
      guard clearance.header.network == genesis.networkID,
        SHA256.digest(clearance.body) == clearance.header.bodyHash,
        Ed25519.isValid(clearance.signature, of: clearance.header.id, by: genesis.clearing.object)
      else { throw NodeFailure.state("Clearance \(clearance.header.batch) is not clearing's") }
      self = .clearance(clearance, encoded: object)
    case .checkpoints:
      throw NodeFailure.state("checkpoints are not replayed")
    }
  }
}

/// One source's connection, and how much has been asked over it.
final class RecoveryPeer: PeerHandler, Sendable {
  private let box: MailBox<Recovery.Letter>
  private let source: Int
  private let genesis: Genesis

  init(_ source: Int, _ box: MailBox<Recovery.Letter>, genesis: Genesis) {
    self.source = source
    self.box = box
    self.genesis = genesis
  }

  func connected(_ connection: Connection) {
    // Objects prove themselves; where a log ends is the word of the layer that keeps it.
    guard let key = genesis.handshakeKey(of: connection.role), key == connection.key else {
      connection.close(error: ErrorMessage(.unauthorised, "not a layer of this network"))
      return
    }
    box.put(.connected(source, connection))
  }

  func disconnected(_ connection: Connection) { box.put(.disconnected(source, connection)) }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch frame.type {
      case MessageType.batch:
        box.put(try Recovery.Letter(.batches, frame.body, genesis: genesis))
      case MessageType.clearance:
        box.put(try Recovery.Letter(.clearances, frame.body, genesis: genesis))
      case MessageType.end:
        box.put(.end(source, try EndMessage(decoding: frame.body.rawSpan)))
      default: break
      }
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }
}
