import Commitments
import Instruments
import Primitives
import TestSupport

@testable import Wire

extension Sample {
  /// What `all` does not hold: each record by itself, requests and answers, proofs and files.
  static let more = records + conversation + proofs
  static let everything = all + more

  /// A record with reserved fields, read back as strictly as inside a message.
  static func record<Record: CanonicalRecord>(_ name: String, _ value: Record) -> Sample {
    Sample(name: name, bytes: value.withBytes { $0.array }) {
      var reader = ByteReader($0.rawSpan)
      let again = try reader.read(canonical: Record.self)
      try reader.finish()
      return again.withBytes { $0.array }
    }
  }

  static var receipt: Receipt {
    var receipt = Receipt(.trade)
    receipt.instrument = fill.instrument
    receipt.buyer = fill.buyer
    receipt.seller = fill.seller
    receipt.id = fill.trade.raw
    receipt.price = fill.price
    receipt.quantity = fill.quantity
    receipt.paid = Money(raw: 1_801)
    receipt.received = Money(raw: 1_800)
    receipt.buyerFee = Money(raw: 2)
    receipt.sellerFee = Money(raw: 3)
    receipt.buyerPosition = Quantity(raw: 4)
    receipt.sellerPosition = Quantity(raw: -5)
    receipt.buyerRealised = Money(raw: -6)
    receipt.sellerRealised = Money(raw: 7)
    receipt.buyerCash = Money(raw: 8)
    receipt.sellerCash = Money(raw: -9)
    return receipt
  }

  static let records: [Sample] = [
    record("fill", fill),
    record("triggered", triggered),
    record("instruction", Instruction(kind: .surface, account: account, bundle: 3, record: 5)),
    record("receipt", receipt),
    record("outcome", Outcome(.filled, .done, 7, 0, order: OrderID(9))),
    record("instrument", TestWorld.instruments()[2]),
    record("opened-account", clearance.opened[0]),
    record("account", clearance.accounts[1]),
    record("balance", clearance.balances[0]),
    record("position", clearance.positions[0]),
    record("index", clearance.indices[0]),
    record("slice", clearance.slices[0]),
    record("directive-cancel-all", clearance.directives[0]),
    record("directive-close", clearance.directives[1]),
    record("exec-header", executionHeader),
    record("clear-header", clearingHeader),
    record("ack-group", acknowledgement.group),
  ]

  // MARK: - Proofs and files

  /// Two positions and one balance of account 7, and the tree they stand in.
  static func accountProof(
    positions: [UInt8]? = nil, balances: [UInt8]? = nil
  ) -> AccountProof {
    var list = ByteWriter()
    list.write(AccountProof.positionsTag.bytes)
    list.write(UInt32(2))
    for (instrument, quantity) in [(1, 5), (4, -6)] as [(UInt32, Int64)] {
      list.write(instrument)
      list.write(quantity)
      list.write(Int64(77))
      list.pad(24)
    }
    var assets = ByteWriter()
    assets.write(AccountProof.balancesTag.bytes)
    assets.write(UInt32(1))
    assets.write(UInt16(1))
    assets.write(Int64(9))
    let (positions, balances) = (positions ?? list.bytes, balances ?? assets.bytes)
    let fields: [Digest] = [
      Bytes32((11, 0, 0, 0)), balances.isEmpty ? .zero : SHA256.digest(balances),
      positions.isEmpty ? .zero : SHA256.digest(positions), Bytes32((0, .max, 0, 0)),
      Bytes32((UInt64(account.raw), 0, 0, 0)), digest(0x77), Bytes32((3, 0, 0, 0)), .zero,
    ]
    var tree = IndexedTree()
    tree.set(2, digest(0x31))
    tree.set(account.index, Merkle.root(of: fields, width: 8))
    var roots = (0..<16).map { digest(UInt8($0 + 1)) }
    roots[0] = tree.root()
    return AccountProof(
      account: account, fields: fields, positions: positions, balances: balances,
      path: tree.proof(of: account.index), roots: roots)
  }

  static var tradeProof: TradeProof {
    TradeProof(
      fill: fill, fillIndex: 1, fillPath: [digest(1)], receipt: receipt, receiptIndex: 2,
      receiptPath: [digest(2), digest(3)])
  }

  static var evidence: EquivocationEvidence {
    func object(_ batch: UInt64) -> [UInt8] {
      var header = executionHeader
      header.batch = BatchNumber(batch)
      return header.withBytes { $0.array } + TestWorld.key(1).sign(header.id).bytes
    }
    return EquivocationEvidence(layer: 1, first: object(3), second: object(4))
  }

  static var bundleFile: [UInt8] {
    BundleFile.encoded(
      BundleFile.Manifest(
        kind: .trade, network: network, first: BatchNumber(3), last: BatchNumber(3), subject: 4),
      [(.tradeProof, tradeProof.encoded), (.logProof, logProof.encoded)])
  }

  static let logProof = LogProof(index: 3, size: 9, path: [digest(4), digest(5)])

  static var submitted: SubmittedMessage {
    let ack = acknowledgement
    return SubmittedMessage(
      group: ack.group, signature: ack.signature,
      accepted: [
        SubmittedMessage.Accepted(submission: 2, place: ack.place, path: ack.path, leaf: ack.leaf)
      ],
      refused: [SubmittedMessage.Refused(submission: 1, .expired, -5, 6)])
  }

  static let conversation: [Sample] = [
    Sample(
      name: "submit",
      bytes: SubmitMessage(bundles: [bundle([actions[0].action]).bytes, [], [1, 2, 3]]).encoded
    ) { try SubmitMessage(decoding: $0.rawSpan).encoded },
    Sample(name: "submitted", bytes: submitted.encoded) {
      try SubmittedMessage(decoding: $0.rawSpan).encoded
    },
    Sample(
      name: "follow",
      bytes: FollowMessage(.clearances, from: BatchNumber(7), through: BatchNumber(9)).encoded
    ) { try FollowMessage(decoding: $0.rawSpan).encoded },
    Sample(name: "query", bytes: QueryMessage(.nonce, subject: 7, key: digest(0x42)).encoded) {
      try QueryMessage(decoding: $0.rawSpan).encoded
    },
    Sample(name: "prove", bytes: ProveMessage(.trade, subject: 4).encoded) {
      try ProveMessage(decoding: $0.rawSpan).encoded
    },
    Sample(
      name: "error",
      bytes: ErrorMessage(.busy, requestID: 5, figures: (-1, 2), "too many bundles wait").bytes
    ) { try ErrorMessage($0.rawSpan).bytes },
    Sample(
      name: "hello",
      bytes: Hello(
        role: .witness, frameLimit: 1 << 20, features: 3, network: network, key: digest(0x51),
        nonce: digest(0x52), rules: [digest(2), digest(1)]
      ).bytes
    ) { try Hello($0.rawSpan).bytes },
    Sample(
      name: "hello-ack",
      bytes: HelloAck(
        minor: 0, role: .clearing, frameLimit: 1 << 24, features: 1, key: digest(0x53),
        nonce: digest(0x54), signature: acknowledgement.signature
      ).bytes
    ) { try HelloAck($0.rawSpan).bytes },
  ]

  static let proofs: [Sample] = [
    Sample(name: "account-proof", bytes: accountProof().encoded) {
      var reader = ByteReader($0.rawSpan)
      let proof = try AccountProof(reading: &reader)
      try reader.finish()
      return proof.encoded
    },
    Sample(name: "trade-proof", bytes: tradeProof.encoded) {
      try TradeProof(decoding: $0.rawSpan).encoded
    },
    Sample(name: "log-proof", bytes: logProof.encoded) {
      try LogProof(decoding: $0.rawSpan).encoded
    },
    Sample(name: "evidence", bytes: evidence.encoded) {
      try EquivocationEvidence(decoding: $0.rawSpan).encoded
    },
    Sample(name: "bundle-file", bytes: bundleFile) {
      do throws(BundleFileFailure) {
        let file = try BundleFile($0)
        return BundleFile.encoded(
          file.manifest, file.sections.dropFirst().map { ($0.type, $0.bytes) })
      } catch {
        throw DecodingFailure.invalid(field: "bundle file", offset: 0)
      }
    },
  ]
}
