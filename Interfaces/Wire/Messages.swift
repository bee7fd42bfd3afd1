public import Primitives

/// Application message types; 0…15 belong to the session.
public enum MessageType {
  /// Client → execution: bundles.
  public static let submit: UInt16 = 16
  /// Execution → client: acknowledgements and refusals.
  public static let submitted: UInt16 = 17
  /// Anyone → any layer: its log from a batch on.
  public static let follow: UInt16 = 20
  public static let batch: UInt16 = 21
  public static let clearance: UInt16 = 22
  public static let checkpoint: UInt16 = 23
  /// Witness → settlement.
  public static let cosignature: UInt16 = 24
  /// Settlement → layers and followers: it refused a batch.
  public static let frozen: UInt16 = 25
  /// Layer → follower that asked for it: everything held of the log has been sent.
  public static let end: UInt16 = 26
  /// Anyone → execution: an instrument's book and trades, or what happens to an account's orders.
  public static let followMarket: UInt16 = 27
  public static let market: UInt16 = 28
  public static let accountOrders: UInt16 = 29
  public static let query: UInt16 = 30
  public static let answer: UInt16 = 31
  /// Anyone → settlement: an acknowledgement, to be held against the batch it names.
  public static let promise: UInt16 = 32
  public static let judged: UInt16 = 33
  /// Anyone → settlement: a proof.
  public static let prove: UInt16 = 40
  public static let proof: UInt16 = 41
}

/// SUBMIT: u32 count, then each bundle with its length before it.
public struct SubmitMessage: Sendable {
  public static let bundlesMax = 4_096
  public var bundles: [[UInt8]]

  public init(bundles: [[UInt8]]) { self.bundles = bundles }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: bundles.reduce(4) { $0 + 4 + $1.count })
    out.write(UInt32(bundles.count))
    for bundle in bundles { ObjectList.append(bundle, to: &out) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let count = try reader.count("bundles", maximum: SubmitMessage.bundlesMax)
    bundles = []
    bundles.reserveCapacity(count)
    for _ in 0..<count {
      let length = try reader.count("bundle bytes", maximum: Limits.bundleByteCountMax)
      bundles.append(try reader.array(length))
    }
    try reader.finish()
  }
}

/// SUBMITTED: what became of some of a request's bundles; a request may be answered in parts.
public struct SubmittedMessage: Sendable, Equatable {
  /// A bundle in the log.
  public struct Accepted: Sendable, Equatable {
    /// Place of the bundle in the request.
    public var submission: UInt32
    /// Place of the leaf in the group.
    public var place: UInt32
    public var path: [Digest]
    public var leaf: Acknowledgement

    public init(submission: UInt32, place: UInt32, path: [Digest], leaf: Acknowledgement) {
      self.submission = submission
      self.place = place
      self.path = path
      self.leaf = leaf
    }
  }

  /// A bundle refused at the door.
  public struct Refused: Sendable, Equatable {
    public var submission: UInt32
    public var code: UInt16
    public var figure1: Int64
    public var figure2: Int64

    public init(submission: UInt32, _ refusal: Refusal, _ figure1: Int64 = 0, _ figure2: Int64 = 0)
    {
      self.submission = submission
      code = refusal.rawValue
      self.figure1 = figure1
      self.figure2 = figure2
    }

    public var refusal: Refusal? { Refusal(rawValue: code) }
  }

  public var group: AcknowledgementGroup
  public var signature: Signature
  public var accepted: [Accepted]
  public var refused: [Refused]

  public init(
    group: AcknowledgementGroup, signature: Signature, accepted: [Accepted], refused: [Refused]
  ) {
    self.group = group
    self.signature = signature
    self.accepted = accepted
    self.refused = refused
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 160 + accepted.count * 512 + refused.count * 24)
    out.write(UInt32(accepted.count))
    out.write(UInt32(refused.count))
    out.write(record: group)
    out.write(signature)
    for item in accepted {
      out.write(item.submission)
      out.write(item.place)
      out.write(UInt32(item.path.count))
      for node in item.path { out.write(node) }
      item.leaf.write(to: &out)
    }
    for item in refused {
      out.write(item.submission)
      out.write(item.code)
      out.write(UInt16(0))
      out.write(item.figure1)
      out.write(item.figure2)
    }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let acceptedCount = try reader.count("accepted", maximum: SubmitMessage.bundlesMax)
    let refusedCount = try reader.count("refused", maximum: SubmitMessage.bundlesMax)
    group = try reader.read(canonical: AcknowledgementGroup.self)
    signature = try reader.read()
    accepted = []
    refused = []
    for _ in 0..<acceptedCount {
      let submission: UInt32 = try reader.read()
      let place: UInt32 = try reader.read()
      accepted.append(
        Accepted(
          submission: submission, place: place, path: try reader.path(),
          leaf: try Acknowledgement(reading: &reader)))
    }
    for _ in 0..<refusedCount {
      let submission: UInt32 = try reader.read()
      let start = reader.offset
      guard let refusal = Refusal(rawValue: try reader.read()) else {
        throw .invalid(field: "refusal", offset: start)
      }
      try reader.zeros(2, field: "refusal reserved")
      refused.append(Refused(submission: submission, refusal, try reader.read(), try reader.read()))
    }
    try reader.finish()
  }
}

/// FOLLOW: which log, from which batch. All ones: from the next. Whoever recovers also asks to be
/// told the log's end.
public struct FollowMessage: Sendable, Equatable {
  public enum Log: UInt16, Sendable {
    case batches = 1
    case clearances = 2
    case checkpoints = 3
  }

  public static let next = BatchNumber(.max)
  public var log: Log
  public var from: BatchNumber
  /// The last batch wanted; all ones: for ever.
  public var through: BatchNumber
  /// Whether an END is wanted once all that is held of the log, published or not, has been sent.
  public var wantsEnd: Bool

  public init(
    _ log: Log, from: BatchNumber, through: BatchNumber = BatchNumber(.max), wantsEnd: Bool = false
  ) {
    self.log = log
    self.from = from
    self.through = through
    self.wantsEnd = wantsEnd
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 24)
    out.write(log.rawValue)
    out.write(wantsEnd)
    out.pad(5)
    out.write(from)
    out.write(through)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard let log = Log(rawValue: try reader.read()) else {
      throw .invalid(field: "log", offset: 0)
    }
    self.log = log
    wantsEnd = try reader.read(Bool.self, field: "follow end")
    try reader.zeros(5, field: "follow reserved")
    from = try reader.read()
    through = try reader.read()
    try reader.finish()
  }
}

/// END: the number after the last object held of a log, and sent before it.
public struct EndMessage: Sendable, Equatable {
  public var log: FollowMessage.Log
  public var next: BatchNumber

  public init(_ log: FollowMessage.Log, next: BatchNumber) {
    self.log = log
    self.next = next
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 16)
    out.write(log.rawValue)
    out.pad(6)
    out.write(next)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard let log = FollowMessage.Log(rawValue: try reader.read()) else {
      throw .invalid(field: "log", offset: 0)
    }
    self.log = log
    try reader.zeros(6, field: "end reserved")
    next = try reader.read()
    try reader.finish()
  }
}

/// QUERY: what is asked, about what. Answers are JSON unless said otherwise.
public struct QueryMessage: Sendable, Equatable {
  public enum Kind: UInt16, Sendable {
    /// Of any layer.
    case status = 1
    /// Of execution: 128-byte instrument records.
    case instruments = 2
    /// Of execution; subject = instrument.
    case book = 3
    /// Of clearing; subject = account.
    case account = 4
    /// Of execution: u64 highest nonce used, u64 window; subject = account, with the key.
    case nonce = 5
    /// Of execution; subject = account: its open orders.
    case orders = 6
    /// Of clearing; subject = underlying: what margin goes by there, as JSON.
    case risk = 7
    /// Of clearing; subject = account: it and its market as a line of `novate margin`.
    case margin = 8
  }

  public var kind: Kind
  public var subject: UInt64
  public var key: PublicKey

  public init(_ kind: Kind, subject: UInt64 = 0, key: PublicKey = .zero) {
    self.kind = kind
    self.subject = subject
    self.key = key
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 48)
    out.write(kind.rawValue)
    out.pad(6)
    out.write(subject)
    out.write(key)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard let kind = Kind(rawValue: try reader.read()) else {
      throw .invalid(field: "query", offset: 0)
    }
    self.kind = kind
    try reader.zeros(6, field: "query reserved")
    subject = try reader.read()
    // Accounts and instruments have 32 bits.
    guard subject <= UInt64(UInt32.max) else { throw .invalid(field: "subject", offset: 8) }
    key = try reader.read()
    try reader.finish()
  }
}

/// COSIGNATURE: a witness's line over settlement's checkpoint of a batch.
public struct CosignatureMessage: Sendable, Equatable {
  public var batch: BatchNumber
  /// Signature lines of a note, to the message's end.
  public var lines: [UInt8]

  public init(batch: BatchNumber, lines: [UInt8]) {
    self.batch = batch
    self.lines = lines
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 8 + lines.count)
    out.write(batch)
    out.write(lines)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    batch = try reader.read()
    lines = try reader.array(reader.remaining)
  }
}

/// ANSWER to a question about nonces: the highest seen of a key, and the window below it.
public struct NonceAnswer: Sendable, Equatable {
  public var top: UInt64
  /// Bit i: top − i was used.
  public var window: UInt64

  public init(top: UInt64, window: UInt64) {
    self.top = top
    self.window = window
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 16)
    out.write(top)
    out.write(window)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    top = try reader.read()
    window = try reader.read()
    try reader.finish()
  }
}

/// PROVE: an account at the last checkpoint, or a trade.
public struct ProveMessage: Sendable, Equatable {
  public var kind: BundleFileKind
  public var subject: UInt64

  public init(_ kind: BundleFileKind, subject: UInt64) {
    self.kind = kind
    self.subject = subject
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 16)
    out.write(UInt16(kind.rawValue))
    out.pad(6)
    out.write(subject)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let code: UInt16 = try reader.read()
    guard let kind = BundleFileKind(rawValue: UInt8(truncatingIfNeeded: code)), code < 256,
      kind == .account || kind == .trade
    else { throw .invalid(field: "proof kind", offset: 0) }
    self.kind = kind
    try reader.zeros(6, field: "prove reserved")
    subject = try reader.read()
    guard kind == .trade || subject <= UInt64(UInt32.max) else {
      throw .invalid(field: "subject", offset: 8)
    }
    try reader.finish()
  }
}
