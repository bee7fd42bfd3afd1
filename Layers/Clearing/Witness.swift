import Commitments
import Instruments
import Pricing
public import Primitives
public import Wire

/// What several accounts' margin goes by after a batch: each record of the market once.
public struct DecisionRecords: Sendable, Equatable {
  public var roots: WitnessRoots
  public var records: [WitnessedRecord]
  public var slices: [SliceEntry]
  /// The accounts, and the places of the records that each needs.
  public var accounts: [(proof: AccountProof, places: [UInt32])]

  public static func == (a: DecisionRecords, b: DecisionRecords) -> Bool { a.encoded == b.encoded }

  /// What one of the accounts goes by.
  public func witness(of account: AccountID) -> MarginWitness? {
    guard let entry = accounts.first(where: { $0.proof.account == account }) else { return nil }
    return MarginWitness(
      account: entry.proof, roots: roots, records: entry.places.map { records[Int($0)] },
      slices: slices)
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    roots.encode(into: &out)
    out.write(UInt32(records.count))
    for record in records { record.encode(into: &out) }
    out.write(UInt32(slices.count))
    for slice in slices { out.write(record: slice) }
    out.write(UInt32(accounts.count))
    for entry in accounts {
      out.write(entry.proof.encoded)
      out.write(UInt32(entry.places.count))
      for place in entry.places { out.write(place) }
    }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    roots = try WitnessRoots(reading: &reader)
    records = []
    for _ in 0..<(try reader.count("decision records", maximum: bytes.byteCount / 32)) {
      records.append(try WitnessedRecord(reading: &reader))
    }
    slices = []
    for _ in 0..<(try reader.count("slices", maximum: bytes.byteCount / 72)) {
      slices.append(try reader.read(record: SliceEntry.self))
    }
    accounts = []
    for _ in 0..<(try reader.count("decided accounts", maximum: bytes.byteCount / 32)) {
      let proof = try AccountProof(reading: &reader)
      var places: [UInt32] = []
      for _ in 0..<(try reader.count("places of records", maximum: bytes.byteCount / 4)) {
        let place: UInt32 = try reader.read()
        guard place < records.count else {
          throw .invalid(field: "place of a record", offset: reader.offset)
        }
        places.append(place)
      }
      accounts.append((proof, places))
    }
    try reader.finish()
  }

  init(roots: WitnessRoots) {
    self.roots = roots
    records = []
    slices = []
    accounts = []
  }
}

extension ClearingMachine {
  /// What the margin of some accounts goes by, as the last batch left it.
  public mutating func decisionRecords(of closed: [AccountID]) -> DecisionRecords {
    var out = DecisionRecords(
      roots: WitnessRoots(
        oracle: [
          trees.indices.root(), trees.slices.root(), trees.submissions.root(), trees.minutes.root(),
        ],
        parameters: [trees.constants, trees.proposals.root(), trees.margins.root()],
        liquidation: [trees.auctions.root(), trees.locks.root(), trees.payouts.root()]))
    for slot in 0..<slices.count { out.slices.append(slices[slot]) }
    var known: [RecordPlace: UInt32] = [:]
    for account in closed {
      let places = recordPlaces(of: account).map { place in
        if let there = known[place] { return there }
        out.records.append(witnessed(place))
        known[place] = UInt32(out.records.count - 1)
        return UInt32(out.records.count - 1)
      }
      out.accounts.append((accountProof(account), places))
    }
    return out
  }

  private struct RecordPlace: Hashable {
    var pool: WitnessPool
    var slot: Int
  }

  /// The records that an account's margin goes by, each once.
  private func recordPlaces(of account: AccountID) -> [RecordPlace] {
    var places = [
      RecordPlace(pool: .status, slot: 0),
      RecordPlace(pool: .margins, slot: Int(status[0].margin)),
      RecordPlace(pool: .funds, slot: 0),
    ]
    func add(_ pool: WitnessPool, _ slot: Int) {
      let place = RecordPlace(pool: pool, slot: slot)
      if !places.contains(place) { places.append(place) }
    }
    if let slot = auctionSlots[account] { add(.auctions, slot) }
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      add(.instruments, instrument.id.index)
      add(.indices, instrument.underlying.index)
      add(.minutes, instrument.underlying.index)
      if instrument.kind == .perpetual { add(.perpetuals, perpetualSlots[instrument.id.index]) }
    }
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      if let underlying = collateralTerms(record.asset).underlying {
        add(.indices, underlying.index)
      }
    }
    return places
  }

  private mutating func witnessed(_ place: RecordPlace) -> WitnessedRecord {
    func record<Record: FlatRecord>(
      _ pool: borrowing Pool<Record>, _ path: IndexedProof
    ) -> WitnessedRecord {
      WitnessedRecord(
        pool: place.pool, slot: UInt32(place.slot),
        bytes: pool[place.slot].withBytes { $0.array }, path: path)
    }
    let slot = place.slot
    return switch place.pool {
    case .instruments: record(instruments, trees.instruments.proof(ofSlot: slot))
    case .indices: record(indices, trees.indices.proof(ofSlot: slot))
    case .minutes: record(minutes, trees.minutes.proof(ofSlot: slot))
    case .margins: record(margins, trees.margins.proof(ofSlot: slot))
    case .perpetuals: record(perpetuals, trees.perpetuals.proof(ofSlot: slot))
    case .auctions: record(auctions, trees.auctions.proof(ofSlot: slot))
    case .status: record(status, trees.status.proof(ofSlot: slot))
    case .funds: record(funds, trees.funds.proof(ofSlot: slot))
    }
  }
}
