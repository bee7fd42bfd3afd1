public import Primitives
public import Wire

// The checks at the door, in the order the protocol gives: account and key, expiry, nonce; the
// signature has been checked by whoever calls.

extension ExecutionMachine {
  /// Why the bundle may not be sequenced now, or nil. Changes nothing.
  public func door(_ bundle: borrowing Bundle) -> Refusal? {
    let header = bundle.header
    guard header.account.index < credits.count else { return .unknownAccount }
    let slot = keySlot(header.account, header.key)
    guard slot != nil || isConsented(bundle) else { return .unknownKey }
    guard header.expiry >= time else { return .expired }
    guard header.expiry.raw - time.raw <= genesis.constants.bundleLifeMax else {
      return .expiryTooFar
    }
    if let slot {
      if let refusal = keys[slot].refusal(ofNonce: header.nonce) { return refusal }
      if keys[slot].count(inSecondOf: time) >= genesis.constants.bundlesPerSecondMax {
        return .rateLimited
      }
    }
    if isAheadOfClearing && !bundle.hasOnlyCancels { return .clearingBehind }
    if hasNoRoomForTrades && !bundle.hasOnlyCancels { return .batchFull }
    guard bundles.count < Limits.bundlesPerBatchMax,
      bodyByteCount + bundle.bytes.count + events.byteCount
        + bundle.recordCount * EventBuffer.recordByteCount <= Limits.batchBodyByteCountMax
    else { return .batchFull }
    return nil
  }

  /// The slot of an account's key that is good in this batch.
  @inline(__always)
  func keySlot(_ account: AccountID, _ key: PublicKey) -> Int? {
    guard let slot = anyKeySlot(account, key) else { return nil }
    let record = keys[slot]
    let batch = status[0].batch
    guard record.validFrom <= batch, batch < record.validUntil, record.expiry >= time else {
      return nil
    }
    return slot
  }

  /// The slot of a key the account has or once had.
  @inline(__always)
  func anyKeySlot(_ account: AccountID, _ key: PublicKey) -> Int? {
    var next = credits[account.index].firstKey
    while next != 0 {
      let slot = Int(next) - 1
      if keys[slot].key == key { return slot }
      next = keys[slot].next
    }
    return nil
  }

  /// Every account's keys that are good in the next batch, for checks before the apply thread.
  public func isKnown(_ account: AccountID, _ key: PublicKey) -> Bool {
    account.index < credits.count && keySlot(account, key) != nil
  }
}

extension KeyRecord {
  /// Bundles the key has sequenced in the second of batch time `time` lies in.
  func count(inSecondOf time: Timestamp) -> Int64 {
    rateSecond == KeyRecord.second(of: time) ? Int64(rateCount) : 0
  }

  /// Counts a bundle.
  mutating func countBundle(at time: Timestamp) {
    let second = KeyRecord.second(of: time)
    rateCount = rateSecond == second ? rateCount &+ 1 : 1
    rateSecond = second
  }

  private static func second(of time: Timestamp) -> UInt32 {
    UInt32(truncatingIfNeeded: time.raw / 1000)
  }

  /// Why `nonce` is not free, or nil.
  func refusal(ofNonce nonce: UInt64) -> Refusal? {
    if nonce > nonceTop { return nil }
    let distance = nonceTop - nonce
    guard distance < 64 else { return .nonceTooOld }
    return nonceBits >> distance & 1 == 1 ? .nonceUsed : nil
  }

  /// Marks a free nonce used.
  mutating func use(nonce: UInt64) {
    if nonce > nonceTop {
      let rise = nonce - nonceTop
      nonceBits = rise < 64 ? nonceBits << rise | 1 : 1
      nonceTop = nonce
    } else {
      nonceBits |= 1 << (nonceTop - nonce)
    }
  }
}

extension Bundle {
  /// Whether nothing in it can add risk or instruct clearing.
  var hasOnlyCancels: Bool {
    for index in 0..<recordCount {
      let kind = record(index).kindCode
      guard
        kind == ActionKind.cancel.rawValue || kind == ActionKind.cancelAll.rawValue
          || kind == ActionKind.timer.rawValue || kind == ActionKind.disconnect.rawValue
      else { return false }
    }
    return true
  }
}
