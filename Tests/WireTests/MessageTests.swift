import Commitments
import Instruments
import Primitives
import TestSupport
import Testing

@testable import Wire

@Suite("Messages", .serialized) struct MessageTests {
  /// Everything the file holds: messages, then the ids that are signed.
  static let rows: [(name: String, hex: String)] =
    Sample.all.map { ($0.name, Hexadecimal.text($0.bytes.rawSpan)) } + [
      (
        // Its last field reaches to the end, so it cannot stand among those that no cut leaves whole.
        "cosignature",
        Hexadecimal.text(
          CosignatureMessage(
            batch: BatchNumber(5), lines: Array("\u{2014} novate/witness-1 AAAA\n".utf8)
          ).encoded.rawSpan)
      ),
      ("id-network", Sample.network.description),
      ("id-rule-set", RuleSet.current.description),
      (
        "id-bundle",
        Sample.bundle([Sample.actions[0].action]).id(network: Sample.network).description
      ),
      ("id-block", Sample.block.id(network: Sample.network).description),
      ("id-hedged-block", Sample.hedgedBlock.id(network: Sample.network).description),
      ("id-exec-header", Sample.executionHeader.id.description),
      ("id-clear-header", Sample.clearingHeader.id.description),
      ("id-ack-group", Sample.acknowledgement.group.id.description),
      ("leaf-clear-header", Sample.clearingHeader.logLeaf.description),
    ]

  @Test("every message and id is its golden vector")
  func golden() throws {
    if Vectors.regenerates { try Vectors.write(Self.rows) }
    let vectors = try Vectors.read()
    #expect(vectors.count == Self.rows.count)
    for row in Self.rows {
      let same = vectors[row.name] == row.hex
      #expect(same, "\(row.name)")
    }
  }

  @Test("a message decodes to itself", arguments: Sample.all)
  func roundTrip(sample: Sample) throws {
    #expect(try sample.again(sample.bytes) == sample.bytes)
  }

  @Test("a message cut at any byte, or with one more, is refused", arguments: Sample.all)
  func truncation(sample: Sample) {
    for count in 0..<sample.bytes.count {
      let cut = try? sample.again(Array(sample.bytes.prefix(count)))
      if cut != nil {
        Issue.record("\(sample.name) cut at \(count) was read")
        return
      }
    }
    #expect(throws: DecodingFailure.self) { try sample.again(sample.bytes + [0]) }
  }

  @Test(
    "a message with a bit changed decodes to what it says, or not at all", arguments: Sample.all)
  func oneEncoding(sample: Sample) {
    // Whatever is read is written back as it came: no byte is ignored.
    for bit in 0..<(sample.bytes.count * 8) {
      var bytes = sample.bytes
      bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
      if let again = try? sample.again(bytes), again != bytes {
        Issue.record("\(sample.name), bit \(bit): read and written otherwise")
        return
      }
    }
  }

  @Test("no bit of a signed bundle can change", arguments: Sample.actions.indices)
  func bundleBits(place: Int) {
    let bytes = Sample.bundle([Sample.actions[place].action]).bytes
    for bit in 0..<(bytes.count * 8) {
      var changed = bytes
      changed[bit >> 3] ^= 1 << UInt8(bit & 7)
      if let bundle = try? Bundle(changed), bundle.isSigned(network: Sample.network) {
        Issue.record("bit \(bit) of a bundle with \(Sample.actions[place].name) changed")
        return
      }
    }
  }

  @Test("an acknowledgement is evidence, and no bit of it can change")
  func acknowledgementBits() throws {
    let key = TestWorld.key(1).publicKey
    let good = Sample.acknowledgement
    #expect(good.isValid(by: key, network: Sample.network))
    #expect(!good.isValid(by: TestWorld.key(2).publicKey, network: Sample.network))
    #expect(!good.isValid(by: key, network: .zero))
    let bytes = try #require(Sample.all.first { $0.name == "acknowledgement" }).bytes
    for bit in 0..<(bytes.count * 8) {
      var changed = bytes
      changed[bit >> 3] ^= 1 << UInt8(bit & 7)
      var reader = ByteReader(changed.rawSpan)
      let value = try? SignedAcknowledgement(reading: &reader)
      if let value, reader.remaining == 0, value.isValid(by: key, network: Sample.network) {
        Issue.record("bit \(bit) changed")
        return
      }
    }
  }

  // MARK: - Tags and networks

  static let tags: [ObjectTag] = [
    Bundle.tag, BlockTrade.tag, ExecutionHeader.tag, ClearingHeader.tag, Frozen.tag,
    AcknowledgementGroup.tag, "novate/hello/1",
  ]

  struct Signed: Sendable {
    let tag: ObjectTag, bytes: [UInt8], key: PublicKey, signature: Signature
  }

  static var signed: [Signed] {
    func sign(_ tag: ObjectTag, _ bytes: [UInt8], _ number: Int) -> Signed {
      let key = TestWorld.key(number)
      let id = ObjectID.of(tag: tag, network: Sample.network, bytes: bytes.rawSpan)
      return Signed(tag: tag, bytes: bytes, key: key.publicKey, signature: key.sign(id))
    }
    let bundle = Sample.bundle([Sample.actions[0].action])
    var block = ByteWriter()
    Sample.block.counterparty.write(to: &block)
    let frozen = Frozen(
      layer: 1, field: 8, network: Sample.network, lastGood: BatchNumber(1), batch: BatchNumber(2),
      refused: .zero)
    return [
      Signed(
        tag: Bundle.tag, bytes: Array(bundle.bytes.prefix(96)), key: bundle.header.key,
        signature: bundle.signature),
      Signed(
        tag: BlockTrade.tag, bytes: block.bytes, key: Sample.block.counterparty.key,
        signature: Sample.block.signature),
      sign(ExecutionHeader.tag, Sample.executionHeader.withBytes { $0.array }, 1),
      sign(ClearingHeader.tag, Sample.clearingHeader.withBytes { $0.array }, 2),
      sign(Frozen.tag, frozen.withBytes { $0.array }, 3),
      Signed(
        tag: AcknowledgementGroup.tag, bytes: Sample.acknowledgement.group.withBytes { $0.array },
        key: TestWorld.key(1).publicKey, signature: Sample.acknowledgement.signature),
      sign("novate/hello/1", [1, 2, 3], 4),
    ]
  }

  @Test("a signature is good under its own tag and network and no other")
  func tags() {
    #expect(Set(Self.tags).count == 7)
    for object in Self.signed {
      for tag in Self.tags {
        for network in [Sample.network, .zero, Sample.digest(1)] {
          let id = ObjectID.of(tag: tag, network: network, bytes: object.bytes.rawSpan)
          let isValid = Ed25519.isValid(object.signature, of: id, by: object.key)
          #expect(
            isValid == (tag == object.tag && network == Sample.network), "\(object.tag) as \(tag)")
        }
      }
    }
    let header = Sample.executionHeader.withBytes {
      ObjectID.of(tag: ExecutionHeader.tag, network: Sample.network, bytes: $0)
    }
    #expect(Sample.executionHeader.id == header)
    #expect(!Sample.bundle([Sample.actions[0].action]).isSigned(network: .zero))
    #expect(!Sample.block.isSigned(network: .zero))
    #expect(Sample.hedgedBlock.isSigned(network: Sample.network))
    var changed = Sample.hedgedBlock
    changed.hedge = nil
    #expect(!changed.isSigned(network: Sample.network))
    changed.hedge = Sample.hedgedBlock.hedge
    #expect(changed.isSigned(network: Sample.network))
    changed.hedge?.price = Price(raw: 9_000_001)
    #expect(!changed.isSigned(network: Sample.network))
    changed = Sample.block
    changed.hedge = Sample.hedgedBlock.hedge
    #expect(!changed.isSigned(network: Sample.network))
  }

  // MARK: - Sizes and limits

  @Test("records are as long as the protocol says, without padding")
  func sizes() {
    func check<Record: FlatRecord>(_: Record.Type, _ size: Int) {
      let found = (MemoryLayout<Record>.size, MemoryLayout<Record>.stride)
      #expect(found.0 == size && found.1 == size, "\(Record.self): \(found)")
    }
    check(ActionRecord.self, 64)
    check(SurfaceParameters.self, 40)
    check(Instrument.self, 128)
    check(Fill.self, EventBuffer.recordByteCount)
    check(Instruction.self, EventBuffer.recordByteCount)
    check(Outcome.self, 32)
    check(Receipt.self, Receipt.byteCount)
    check(ExecutionHeader.self, 352)
    check(ClearingHeader.self, 408)
    check(Frozen.self, 96)
    check(AcknowledgementGroup.self, 88)
    check(OpenedAccount.self, 40)
    check(AccountEntry.self, 16)
    check(BalanceEntry.self, 16)
    check(PositionEntry.self, 24)
    check(IndexEntry.self, 24)
    check(SliceEntry.self, 72)
    check(Directive.self, 32)
    check(Constants.self, 320)
    check(MarginTerms.self, 2_048)
    #expect(Receipt.byteCount == 128 && ActionRecord.byteCount == 64)
    #expect(ActionKind.list.recordCount * 64 == 64 + MemoryLayout<Instrument>.size)
    #expect(ActionKind.block.recordCount * 64 == BlockTrade.byteCount)
    #expect(ActionKind.hedgedBlock.recordCount * 64 == BlockTrade.byteCount + 64)
  }

  @Test("limits fit into each other")
  func relations() {
    let headers = ClearingHeader.byteCount + Signature.byteCount + 64
    #expect(Limits.frameBodyByteCountMax >= Limits.batchBodyByteCountMax + headers)
    #expect(Limits.batchBodyByteCountMax > 64 * Limits.bundleByteCountMax)
    #expect(Limits.recordsPerBundleMax >= Limits.actionsPerBundleMax)
    #expect(Limits.bundleByteCountMax == 96 + 512 * 64 + 64)
    #expect(Limits.openOrdersMax <= Int(Int32.max) && Limits.accountsMax <= Int(Int32.max))
    #expect(Constants().activationNotice >= Constants().runAheadMax + 1)
    #expect(Constants().fault == nil)
    #expect(Limits.instrumentsMax < Int(InstrumentID.all.raw))
  }
}

@Suite("Refused values") struct RefusalTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    let place: Int
    let change: @Sendable (inout ActionRecord) -> Void
    init(
      _ name: String, _ action: String, _ change: @escaping @Sendable (inout ActionRecord) -> Void
    ) {
      self.name = name
      place = Sample.actions.firstIndex { $0.name == action } ?? -1
      self.change = change
    }
    var testDescription: String { name }
  }

  private static func tail(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) -> Bytes32 {
    Bytes32((a, b, c, d))
  }

  static let rows = [
    Row("kind 0", "place") { $0.kindCode = 0 }, Row("kind 18", "place") { $0.kindCode = 18 },
    Row("side 2", "place") { $0.a = 2 }, Row("time in force 4", "place-fok") { $0.b = 4 },
    Row("unknown flag", "place") { $0.c = 16 }, Row("post-only ioc", "place") { $0.b = 1 },
    Row("no price", "place") { $0.x = 0 }, Row("negative price", "place") { $0.x = -1 },
    Row("no quantity", "place") { $0.y = 0 }, Row("negative quantity", "place") { $0.y = .min },
    Row("tail of an order", "place") { $0.tail = Sample.digest(1) },
    Row("good till no time", "place-fok") { $0.b = 3 },
    Row("good till before time", "place-gtt") {
      $0.tail = tail(UInt64(bitPattern: -1), 5_000_000, 0, 3)
    },
    Row("a time without good till", "place-gtt") { $0.b = 0 },
    Row("sliding alone", "place-fok") { $0.c = 4 },
    Row("resting market order", "place-gtt") { $0.c = 8 },
    Row("post-only market order", "market") { $0.c = 9 },
    Row("negative protection", "market") { $0.x = -1 },
    Row("shown whole", "place-gtt") { $0.tail = tail(1, 45_000_000, 0, 0) },
    Row("shown negative", "place-gtt") { $0.tail = tail(1, .max, 0, 0) },
    Row("ioc with display", "market") { $0.tail = tail(0, 5, 0, 0) },
    Row("trigger of a place", "place-gtt") { $0.tail = tail(1, 0, 1, 0) },
    Row("self-trade mode 4", "place-gtt") { $0.tail = tail(1, 0, 0, 4) },
    Row("byte behind the mode", "place-gtt") { $0.tail = tail(1, 0, 0, 256) },
    Row("fill-or-kill that decrements", "place-fok") { $0.tail = tail(0, 0, 0, 3) },
    Row("replace by 2", "replace") { $0.a = 2 }, Row("force of a replace", "replace") { $0.b = 1 },
    Row("reduce-only replace", "replace") { $0.c = 2 }, Row("free replace", "replace") { $0.x = 0 },
    Row("sliding replace alone", "replace") { $0.c = 4 },
    Row("empty replace", "replace") { $0.y = 0 },
    Row("expects less than nothing", "replace") { $0.tail = tail(0, .max, 0, 0) },
    Row("word of a replace", "replace") { $0.tail = tail(0, 0, 1, 0) },
    Row("mode of a replace", "replace") { $0.tail = tail(0, 0, 0, 4) },
    Row("cancel side 3", "cancel-all") { $0.a = 3 },
    Row("cancel scope 2", "cancel-all") { $0.b = 2 },
    Row("underlying of a cancel", "cancel-underlying") { $0.id = 65_536 },
    Row("kind 19 of another", "place") { $0.kindCode = 19 },
    Row("no trigger price", "trigger") { $0.tail = tail(1, 0, 0, 1) },
    Row("trigger flag 64", "trigger") { $0.c |= 64 },
    Row("trigger that expires before time", "trigger") {
      $0.tail = tail(UInt64(bitPattern: -1), 0, 1, 1)
    },
    Row("till cancelled and till a time", "trigger") {
      $0.b = 0
      $0.c = 0
      $0.x = 1
    },
    Row("post-only trigger at the market", "trigger") { $0.c |= 1 },
    Row("trigger without a size", "trigger") { $0.y = 0 },
    Row("timer below a second", "timer") { $0.x = 999 },
    Row("timer past a day", "timer") { $0.x = 86_400_001 },
    Row("negative timer", "timer") { $0.x = -1 }, Row("quantity of a timer", "timer") { $0.y = 1 },
    Row("protect 2", "protect") { $0.a = 2 },
    Row("window past a day", "protect") { $0.x = 86_400_001 },
    Row("reset with a window", "reset-protection") { $0.x = 1 },
    Row("no window and a limit", "protect") { $0.x = 0 },
    Row("negative frozen time", "protect") { $0.y = -1 },
    Row("negative limit", "protect") { $0.z = .max },
    Row("no limit", "protect") {
      $0.z = 0
      $0.tail = .zero
    },
    Row("underlying of a protection", "protect") { $0.id = 65_536 },
    Row("no volatility", "volatility") { $0.x = 0 },
    Row("volatility below zero", "volatility") { $0.x = -1 },
    Row("volatility past the kernel's", "volatility") { $0.x = 1_000_000_000_000_001 },
    Row("volatility at the market", "volatility") {
      ($0.b, $0.c) = (1, 8)
      $0.tail = .zero
    },
    Row("volatility order that decrements both", "volatility") {
      ($0.b, $0.tail) = (0, tail(0, 0, 0, 3))
    },
    Row("volatility order without a size", "volatility") { $0.y = 0 },
    Row("price of a volatility order", "volatility") {
      ($0.b, $0.tail) = (0, tail(0, 0, 1, 0))
    },
    Row("session 2", "session") { $0.a = 2 }, Row("scope of a session", "session") { $0.b = 2 },
    Row("underlying of a session", "session") { $0.id = 65_536 },
    Row("number of a new session", "session") { $0.z = 1 },
    Row("end of no session", "end-session") { $0.z = 0 },
    Row("scope of an end", "end-session") { $0.id = 1 },
    Row("loss of no session", "disconnect") { $0.z = 0 },
    Row("account of a loss", "disconnect") { $0.id = 1 },
    Row("more legs than there are", "combination") { $0.c = 3 },
    Row("one leg", "combination") { $0.c = 1 },
    Row("combination that decrements", "combination") { $0.b = 3 },
    Row("instrument of a combination", "combination") { $0.id = 1 },
    Row("client id of a combination", "combination") { $0.z = 1 },
    Row("tail of a combination", "combination") { $0.tail = tail(0, 0, 0, 1) },
    Row("more quotes than there are", "mass-quote") { $0.c = 3 },
    Row("fewer quotes than there are", "mass-quote") { $0.c = 1 },
    Row("price of a mass quote", "mass-quote") { $0.x = 1 },
    Row("quote flag 8", "mass-quote") { $0.a = 8 },
    Row("sliding without post-only", "mass-quote") { $0.a = 4 },
    Row("self-trade mode of quotes 4", "mass-quote") { $0.b = 4 },
    Row("underlying of a mass quote", "mass-quote") { $0.id = 65_536 },
    Row("cancel by 2", "cancel") { $0.a = 2 }, Row("flags of a cancel", "cancel") { $0.c = 1 },
    Row("price of a cancel", "cancel") { $0.x = 1 },
    Row("tail of a cancel", "cancel") { $0.tail = Sample.digest(1) },
    Row("id of cancel all", "cancel-all") { $0.z = 1 },
    Row("key without expiry", "add-key") { $0.x = 0 },
    Row("side of a key", "add-key") { $0.a = 1 },
    Row("scope of a revocation", "revoke-key") { $0.id = 1 },
    Row("empty withdrawal", "withdraw") { $0.x = 0 },
    Row("negative withdrawal", "withdraw") { $0.x = -5 },
    Row("asset beyond 16 bits", "withdraw") { $0.id = 65_536 },
    Row("empty deposit", "deposit") { $0.x = 0 }, Row("negative deposit", "deposit") { $0.x = -1 },
    Row("deposit without reference", "deposit") { $0.z = 0 },
    Row("asset of a release", "release") { $0.id = 1 }, Row("free index", "index") { $0.x = 0 },
    Row("index before time", "index") { $0.y = -1 },
    Row("index without sequence", "index") { $0.z = 0 }, Row("index of 2", "index") { $0.a = 2 },
    Row("underlying beyond 16 bits", "index") { $0.id = 1 << 20 },
    Row("tail of an index", "index") { $0.tail = Sample.digest(1) },
    Row("surface without expiry", "surface") { $0.x = 0 }, Row("halt 2", "halt") { $0.a = 2 },
    Row("quantity of a halt", "halt") { $0.y = 1 }, Row("free block", "block") { $0.x = 0 },
    Row("empty block", "block") { $0.y = 0 }, Row("side of a block", "block") { $0.a = 2 },
    Row("tail of a block", "block") { $0.tail = Sample.digest(9) },
    Row("id of a listing", "list") { $0.id = 1 }, Row("mode 3", "open") { $0.a = 3 },
    Row("underlying of an opening", "open") { $0.id = 1 },
    Row("owner of an opening", "open") { $0.tail = Sample.digest(1) },
    Row("empty transfer", "transfer") { $0.x = 0 },
    Row("negative transfer", "transfer") { $0.x = -6 },
    Row("asset of a transfer beyond 16 bits", "transfer") { $0.id = 65_536 },
    Row("account paid beyond 32 bits", "transfer") { $0.z = 1 << 32 },
    Row("destination of a transfer", "transfer") { $0.tail = Sample.digest(1) },
    Row("mode of a transfer", "transfer") { $0.a = 1 },
  ]

  /// A bundle of changed records whose hash and signature are right.
  private static func bundle(_ records: [UInt8], actions: UInt16, count: UInt16? = nil) throws
    -> Bundle
  {
    let key = TestWorld.ownerKey(Sample.account)
    let header = BundleHeader(
      account: Sample.account, key: key.publicKey, nonce: 1, expiry: Sample.far,
      actionCount: actions, recordCount: count ?? UInt16(records.count / 64),
      actionsHash: SHA256.digest(records))
    var out = ByteWriter()
    header.write(to: &out)
    let id = ObjectID.of(tag: Bundle.tag, network: Sample.network, bytes: out.bytes.rawSpan)
    out.write(records)
    out.write(key.sign(id))
    return try Bundle(out.bytes)
  }

  private static func records(_ action: Action) -> [UInt8] {
    var out = ByteWriter()
    action.write(to: &out)
    return out.bytes
  }

  @Test("an action outside its domain is refused, however well signed", arguments: rows)
  func domains(row: Row) throws {
    var bytes = Self.records(Sample.actions[row.place].action)
    _ = try Self.bundle(bytes, actions: 1)
    var record = ActionRecord(bytes.rawSpan)
    row.change(&record)
    bytes.replaceSubrange(0..<64, with: record.withBytes { $0.array })
    #expect(throws: DecodingFailure.self) { try Self.bundle(bytes, actions: 1) }
  }

  /// Bytes of a compound action that must be zero, or hold what a listing may.
  @Test(
    "reserved bytes of compound actions are zero",
    arguments: [
      ("mass-quote", 64 + 4), ("mass-quote", 64 + 40), ("mass-quote", 128 + 63),
      ("mass-quote", 128 + 8),
      ("mass-quote", 128 + 16), ("mass-quote", 64 + 15),
      ("surface", 80), ("surface", 127), ("block", 154), ("block", 159), ("block", 224),
      ("block", 255), ("list", 64 + 80), ("list", 64 + 88),
      ("list", 64 + 111),
    ])
  func reserved(name: String, offset: Int) throws {
    let action = try #require(Sample.actions.first { $0.name == name }).action
    var bytes = Self.records(action)
    bytes[offset] = 1
    #expect(throws: DecodingFailure.self) { try Self.bundle(bytes, actions: 1) }
  }

  @Test("counts must be those of the actions")
  func counts() throws {
    let one = Self.records(Sample.actions[4].action)
    #expect(throws: DecodingFailure.self) { try Self.bundle([], actions: 0) }
    #expect(throws: DecodingFailure.self) { try Self.bundle(one, actions: 0) }
    #expect(throws: DecodingFailure.self) { try Self.bundle(one, actions: 2) }
    #expect(throws: DecodingFailure.self) { try Self.bundle(one + one, actions: 1) }
    #expect(throws: DecodingFailure.self) { try Self.bundle(one, actions: 1, count: 2) }
    let many = Array(repeatElement(one, count: 256).joined())
    #expect(try Self.bundle(many, actions: 256).recordCount == 256)
    #expect(throws: DecodingFailure.self) { try Self.bundle(many + one, actions: 257) }
    // 129 blocks are 516 records.
    let block = Self.records(.block(Sample.block))
    #expect(
      try Self.bundle(Array(repeatElement(block, count: 128).joined()), actions: 128).recordCount
        == 512)
    #expect(throws: DecodingFailure.self) {
      try Self.bundle(Array(repeatElement(block, count: 129).joined()), actions: 129)
    }
    // A surface cut to its first record.
    let surface = Array(Self.records(Sample.surface).prefix(64))
    #expect(throws: DecodingFailure.self) { try Self.bundle(surface, actions: 1) }
  }

  @Test("the legs behind a combination's or a hedged block's first record are of one form")
  func legs() throws {
    let combination = try #require(Sample.actions.first { $0.name == "combination" }).action
    for (action, at) in [(combination, 64), (combination, 128), (.block(Sample.hedgedBlock), 64)] {
      let records = Self.records(action)
      let isBlock = at == 64 && records.count == 320
      // Kind or instrument, side, zeros, price and quantity: the first byte that must be as it is, or
      // the last of a number that must be above zero.
      for place in isBlock ? [0, 1, 2, 3, 24, 32, 63] : [4, 5, 7, 15, 23, 24, 63] {
        var changed = records
        changed[at + place] |= 0x82
        #expect(throws: DecodingFailure.self, "\(place)") { try Self.bundle(changed, actions: 1) }
      }
      var changed = records
      for place in 8..<(isBlock ? 24 : 16) { changed[at + place] = 0 }
      #expect(throws: DecodingFailure.self) { try Self.bundle(changed, actions: 1) }
      // Both legs in one instrument.
      changed = records
      let other = isBlock ? 4 : at == 64 ? 128 : 64
      for place in 0..<4 {
        changed[at + (isBlock ? 4 : 0) + place] = records[other + place]
      }
      #expect(throws: DecodingFailure.self) { try Self.bundle(changed, actions: 1) }
    }
    // The zeros behind a block's header and signature.
    for place in [218, 223, 288, 319] {
      var changed = Self.records(.block(Sample.hedgedBlock))
      changed[place] = 1
      #expect(throws: DecodingFailure.self, "\(place)") { try Self.bundle(changed, actions: 1) }
    }
  }

  @Test("a surface outside its domain is refused")
  func surfaces() throws {
    let one = SurfaceParameters.empty
    func isFine(_ change: (inout SurfaceUpdate) -> Void) -> Bool {
      var update = SurfaceUpdate(
        underlying: UnderlyingID(0), expiry: Sample.far, forward: Price(raw: 1),
        parameters: TestWorld.smile(time: 60_000), time: TestWorld.start, sequence: 1)
      change(&update)
      return update.isInDomain
    }
    #expect(isFine { _ in })
    #expect(!isFine { $0.forward = .zero } && !isFine { $0.parameters = one })
    #expect(!isFine { $0.parameters.b = -1 } && !isFine { $0.parameters.b = .max })
    #expect(!isFine { $0.parameters.rho = 1_000_000_000_000 })
    #expect(!isFine { $0.parameters.rho = .min } && !isFine { $0.parameters.sigma = 999_999 })
    #expect(!isFine { $0.parameters.m = .min } && !isFine { $0.parameters.a = .max })
    // Lee's wings: b(1 + |rho|) ≤ 2.
    #expect(isFine { ($0.parameters.b, $0.parameters.rho) = (1_250_000_000_000, -600_000_000_000) })
    #expect(
      !isFine { ($0.parameters.b, $0.parameters.rho) = (1_250_000_000_001, -600_000_000_000) })
  }

  @Test("a batch body with a wrong count or a spoilt bundle is refused")
  func batchBodies() {
    let good = Sample.batchBody
    for offset in [0, 4] {
      for step in [1, 255] as [UInt8] {
        var bytes = good
        bytes[offset] &+= step
        #expect(throws: DecodingFailure.self) { try BatchBody(bytes) }
      }
    }
    var huge = good
    huge[3] = 0xFF
    #expect(throws: DecodingFailure.self) { try BatchBody(huge) }
    huge = good
    huge[7] = 0xFF
    #expect(throws: DecodingFailure.self) { try BatchBody(huge) }
  }

  @Test("a Clearance with lists out of order, twice or beyond its bytes is refused")
  func clearances() throws {
    func isFine(_ change: (inout ClearanceBody) -> Void) -> Bool {
      var body = Sample.clearance
      change(&body)
      return (try? ClearanceBody(encoded: body.encoded.rawSpan)) != nil
    }
    #expect(isFine { _ in } && isFine { $0 = ClearanceBody() })
    #expect(!isFine { $0.accounts.reverse() } && !isFine { $0.accounts.append($0.accounts[1]) })
    #expect(!isFine { $0.positions.append($0.positions[0]) })
    #expect(!isFine { $0.balances.append($0.balances[0]) })
    #expect(
      !isFine { $0.indices.append($0.indices[0]) } && !isFine { $0.slices.append($0.slices[0]) })
    #expect(!isFine { $0.opened.append($0.opened[0]) })
    // An account is of one mode, and what it may do for now stands in another list.
    for flags in [1, 2, 3, 12, 16, 1 << 31] as [UInt32] {
      #expect(!isFine { $0.opened[0].flags = flags }, "flags \(flags)")
    }
    #expect(isFine { $0.opened[0].flags = 4 } && isFine { $0.opened[0].flags = 8 })
    for flags in [6, 10, 12, 15, 16] as [UInt32] {
      #expect(!isFine { $0.accounts[0].flags = flags }, "flags \(flags)")
    }
    for flags in [4, 5, 7, 8, 9, 11] as [UInt32] {
      #expect(isFine { $0.accounts[0].flags = flags }, "flags \(flags)")
    }
    #expect(!isFine { $0.instruments.append($0.instruments[0]) })
    #expect(isFine { $0.directives.append($0.directives[0]) })
    #expect(!isFine { $0.accounts[0].flags = 2 } && !isFine { $0.directives[0].kindCode = 3 })
    #expect(!isFine { $0.directives[0].quantity = Quantity(raw: 1) })
    #expect(!isFine { $0.directives[1].sideCode = 2 })
    #expect(
      !isFine { $0.directives[1].quantity = .zero } && !isFine { $0.directives[1].price = .zero })
    var bytes = Sample.clearance.encoded
    bytes[3] = 0xFF
    #expect(throws: DecodingFailure.self) { try ClearanceBody(encoded: bytes.rawSpan) }
  }

  // MARK: - Genesis

  struct GenesisRow: Sendable, CustomTestStringConvertible {
    let name: String
    let change: @Sendable (inout Genesis) -> Void
    init(_ name: String, _ change: @escaping @Sendable (inout Genesis) -> Void) {
      self.name = name
      self.change = change
    }
    var testDescription: String { name }
  }

  static let geneses = [
    GenesisRow("no name") { $0.name = "" }, GenesisRow("spaced name") { $0.name = "a b" },
    GenesisRow("long name") { $0.name = String(repeating: "a", count: 33) },
    GenesisRow("no time") { $0.startTime = .zero },
    GenesisRow("a time before time") { $0.startTime = Timestamp(raw: .min) },
    GenesisRow("a time past the calendar") { $0.startTime = Timestamp(raw: .max) },
    GenesisRow("one key for two roles") { $0.execution.object = $0.clearing.object },
    GenesisRow("one key for two accounts") { $0.accounts[1] = $0.accounts[0] },
    GenesisRow("a key of small order") { $0.accounts[0] = Bytes32((1, 0, 0, 0)) },
    GenesisRow("no asset") { $0.assets = [] },
    GenesisRow("quote of another scale") { $0.assets[0].scale = 8 },
    GenesisRow("scale 9") { $0.assets[1].scale = 9 },
    GenesisRow("no underlying") { $0.underlyings = [] },
    GenesisRow("one underlying twice") { $0.underlyings[1] = $0.underlyings[0] },
    GenesisRow("unknown custodian") { $0.assets[0].custodian = AccountID(99) },
    GenesisRow("unknown publisher") { $0.publishers[0] = AccountID(99) },
    GenesisRow("publisher twice") { $0.publishers[0] = $0.publishers[1] },
    GenesisRow("quorum past the publishers") { $0.constants.oracleQuorum = 4 },
    GenesisRow("no quorum") { $0.constants.oracleQuorum = 0 },
    GenesisRow("threshold past the members") { $0.governanceThreshold = 4 },
    GenesisRow("no threshold") { $0.governanceThreshold = 0 },
    GenesisRow("witnesses that are not there") { $0.constants.witnessQuorum = 1 },
    GenesisRow("instrument out of place") { $0.instruments.swapAt(0, 1) },
    GenesisRow("instrument on nothing") { $0.instruments[0].underlying = UnderlyingID(9) },
    GenesisRow("instrument without tick") { $0.instruments[0].tick = .zero },
    GenesisRow("settled instrument") { $0.instruments[0].statusCode = 3 },
    GenesisRow("a constant below zero") { $0.constants.driftMax = -1 },
    GenesisRow("a constant past all sums") { $0.constants.driftMax = .max },
    GenesisRow("notice within the run-ahead") { $0.constants.activationNotice = 64 },
    GenesisRow("no keys") { $0.constants.keysPerAccountMax = 0 },
    GenesisRow("maintenance above initial") {
      $0.margin.maintenanceFactor = Ratio(raw: Ratio.scale + 1)
    },
    GenesisRow("margin without scenarios") { $0.margin.scenarioCount = 0 },
  ]

  @Test("a genesis that breaks a rule is refused", arguments: geneses)
  func genesis(row: GenesisRow) {
    var genesis = TestWorld.genesis(clients: 1)
    #expect(genesis.fault == nil)
    row.change(&genesis)
    #expect(genesis.fault != nil)
    // A name past its field is cut in writing: whoever writes asks for the fault first.
    guard genesis.name.utf8.count <= 32 else { return }
    #expect(throws: DecodingFailure.self) { try Genesis(encoded: genesis.encoded.rawSpan) }
  }

  @Test("everything of a genesis reaches the network id")
  func networkID() throws {
    let genesis = TestWorld.genesis(clients: 1)
    let decoded = try Genesis(encoded: genesis.encoded.rawSpan)
    #expect(decoded == genesis && decoded.networkID == genesis.networkID)
    var ids: Set<Digest> = [genesis.networkID]
    let changes: [(inout Genesis) -> Void] = [
      { $0.name = "other" }, { $0.startTime = Timestamp(raw: 1) },
      { swap(&$0.execution.object, &$0.execution.handshake) }, { $0.publishers.swapAt(0, 1) },
      { $0.governanceThreshold = 1 }, { $0.constants.closeBand += 1 }, { $0.ruleSet = .zero },
      { $0.instruments[4].tick = Price(raw: 1) }, { $0.underlyings.swapAt(0, 1) },
      { $0.assets[1].scale = 7 }, { $0.accounts.removeLast() },
    ]
    for change in changes {
      var other = genesis
      change(&other)
      ids.insert(other.networkID)
    }
    #expect(ids.count == changes.count + 1)
  }
}
