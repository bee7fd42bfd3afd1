import Instruments
import Primitives

extension Action {
  /// Checks that `records` records at `offset` are exactly `actions` actions, each within its
  /// domains.
  static func check(_ bytes: RawSpan, at offset: Int, records: Int, actions: Int)
    throws(DecodingFailure)
  {
    var record = 0
    for _ in 0..<actions {
      let place = offset + record * ActionRecord.byteCount
      guard record < records, let kind = ActionKind(rawValue: bytes.load(at: place)) else {
        throw .invalid(field: "action kind", offset: place)
      }
      let head = ActionRecord(bytes, at: place)
      let count = head.recordCount
      guard record + count <= records else {
        throw .truncated(offset: place, needed: count * ActionRecord.byteCount)
      }
      try check(head, kind, bytes, at: place)
      record += count
    }
    guard record == records else {
      throw .trailing(offset: offset + record * ActionRecord.byteCount, count: records - record)
    }
  }

  private static func check(
    _ record: ActionRecord, _ kind: ActionKind, _ bytes: RawSpan, at place: Int
  ) throws(DecodingFailure) {
    func require(_ condition: Bool, _ field: StaticString) throws(DecodingFailure) {
      if !condition { throw .invalid(field: field, offset: place) }
    }
    /// Fields the kind does not use are zero: one encoding per action.
    func unused(
      a: Bool = false, b: Bool = false, c: Bool = false, id: Bool = false, x: Bool = false,
      y: Bool = false, z: Bool = false, tail: Bool = false
    ) throws(DecodingFailure) {
      try require(
        !(a && record.a != 0 || b && record.b != 0 || c && record.c != 0 || id && record.id != 0
          || x && record.x != 0 || y && record.y != 0 || z && record.z != 0
          || tail && !record.tail.isZero), "unused action field")
    }
    switch kind {
    case .place:
      if let fault = record.orderFault { throw .invalid(field: fault, offset: place) }
    case .replace:
      if let fault = record.replacementFault { throw .invalid(field: fault, offset: place) }
    case .trigger:
      if let fault = record.triggerFault { throw .invalid(field: fault, offset: place) }
    case .volatility:
      if let fault = record.volatilityFault { throw .invalid(field: fault, offset: place) }
    case .combination:
      let legs = Combination(record, bytes, at: place).legs
      if let fault = record.combinationFault(legs) { throw .invalid(field: fault, offset: place) }
    case .session:
      if let fault = record.sessionFault { throw .invalid(field: fault, offset: place) }
    case .disconnect:
      try require(record.z > 0, "session")
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, tail: true)
    case .timer:
      try require(record.x == 0 || Limits.timerRange.contains(record.x), "timer")
      try unused(a: true, b: true, c: true, id: true, y: true, z: true, tail: true)
    case .protect:
      if let fault = record.protectionFault { throw .invalid(field: fault, offset: place) }
    case .massQuote:
      try unused(x: true, y: true, z: true, tail: true)
      let entries = MassQuote(record, bytes, at: place).entries
      if let fault = record.massQuoteFault(entries) { throw .invalid(field: fault, offset: place) }
    case .cancel:
      try require(record.a <= 1, "cancel by")
      try unused(b: true, c: true, x: true, y: true, tail: true)
    case .cancelAll:
      try require(record.a <= 2 && record.b <= 1, "cancel scope")
      try require(record.b == 0 || record.id <= UInt16.max, "underlying")
      try unused(c: true, x: true, y: true, z: true, tail: true)
    case .addKey:
      try require(record.x > 0, "key expiry")
      try unused(a: true, b: true, c: true, y: true, z: true)
    case .revokeKey:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, z: true)
    case .withdraw:
      try require(record.x > 0 && record.id <= UInt16.max, "withdrawal")
      try unused(a: true, b: true, c: true, y: true, z: true)
    case .deposit:
      try require(record.x > 0 && record.id <= UInt16.max && record.z > 0, "deposit")
      try unused(a: true, b: true, c: true, y: true)
    case .release:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true)
    case .index:
      try require(record.x > 0 && record.y > 0 && record.z > 0, "index update")
      try require(record.a <= 1, "index of")
      try require(record.id <= UInt16.max, "underlying")
      try unused(b: true, c: true, tail: true)
    case .surface:
      try require(record.x > 0 && record.y > 0 && record.z > 0, "surface update")
      try require(record.id <= UInt16.max, "underlying")
      try unused(a: true, b: true, c: true)
      let rest = bytes.extracting((place + 80)..<(place + 128))
      try require(rest.isZero, "surface reserved")
      try require(SurfaceUpdate(bytes, at: place).isInDomain, "surface parameters")
    case .block:
      try require(record.a <= 1 && record.x > 0 && record.y > 0, "block trade")
      try unused(b: true, c: true, tail: true)
      try require(bytes.extracting((place + 224)..<(place + 256)).isZero, "block reserved")
      try require(bytes.extracting((place + 154)..<(place + 160)).isZero, "block reserved")
    case .hedgedBlock:
      try require(record.a <= 1 && record.x > 0 && record.y > 0, "block trade")
      try unused(b: true, c: true, tail: true)
      let hedge = ActionRecord(bytes, at: place + ActionRecord.byteCount)
      try require(hedge.isHedge && hedge.id != record.id, "hedge of a block")
      try require(bytes.extracting((place + 288)..<(place + 320)).isZero, "block reserved")
      try require(bytes.extracting((place + 218)..<(place + 224)).isZero, "block reserved")
    case .list:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, z: true, tail: true)
      try require(Instrument(bytes, at: place + ActionRecord.byteCount).isProposal, "listing")
    case .margin:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, z: true, tail: true)
      if let fault = MarginTerms(bytes, at: place + ActionRecord.byteCount).fault {
        throw .invalid(field: fault, offset: place)
      }
    case .bid:
      try require(record.x > 0, "stake of a bid")
      try require((1...UInt64(Ratio.scale)).contains(record.z), "part of a bid")
      try unused(a: true, b: true, c: true, tail: true)
    case .open:
      try require(AccountMode(rawValue: record.a) != nil, "account mode")
      try unused(b: true, c: true, id: true, x: true, y: true, z: true, tail: true)
    case .transfer:
      try require(record.x > 0 && record.id <= UInt16.max, "transfer")
      try require(record.z <= UInt32.max, "account paid")
      try unused(a: true, b: true, c: true, y: true, tail: true)
    case .halt:
      try require(record.a <= 1, "halt")
      try unused(b: true, c: true, x: true, y: true, z: true, tail: true)
    }
  }
}
