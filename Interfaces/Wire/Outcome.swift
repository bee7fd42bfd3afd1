public import Primitives

/// What became of an action, in one numeric code. The text is made in the client.
@frozen public enum OutcomeCode: UInt16, Sendable, CaseIterable {
  case done = 0
  case unknownInstrument = 1
  case instrumentHalted = 2
  case instrumentExpired = 3
  /// Figures: price, tick.
  case priceOffTick = 4
  /// Figures: quantity, lot.
  case quantityOffLot = 5
  /// Figures: quantity, maximum.
  case quantityTooLarge = 6
  /// Figures: price, maximum.
  case priceTooHigh = 7
  /// Figures: price, best opposite price.
  case wouldCross = 8
  /// Figures: quantity, quantity available.
  case notFillable = 9
  /// Figures: money left under the worst scenario with the order, and without it.
  case insufficientMargin = 10
  /// Figures: open orders, maximum.
  case tooManyOrders = 11
  case unknownOrder = 12
  /// Figures: position, quantity.
  case notReducing = 13
  /// A resting order of the account has the client id, and other terms.
  case duplicateClientID = 14
  /// Figures: positions, maximum.
  case tooManyPositions = 15
  case noMarketData = 16
  /// Figures: age of the market data, maximum, in ms.
  case marketDataStale = 17
  /// The key may not do this.
  case outOfScope = 18
  case tooManyKeys = 19
  case unknownKey = 20
  /// Figures: amount, amount free.
  case insufficientBalance = 21
  case unknownAsset = 22
  case notAuthorised = 23
  case unknownAccount = 24
  /// The other side is the account itself, or of a bid another of its owner. Of an order that was carried out: what is not filled and
  /// does not rest met an own order.
  case selfTrade = 25
  case counterpartySignature = 26
  case counterpartyNonce = 27
  case counterpartyExpired = 28
  case keyExists = 29
  case badKey = 30
  /// The batch has no room for another trade; the order may be sent again.
  case batchFull = 31
  /// Figures: amount, minimum.
  case amountTooSmall = 32
  /// Figures: price, the furthest the instrument's band allows.
  case priceOutsideBand = 33
  /// Figures: expiry asked for, batch time.
  case orderExpired = 34
  /// Figures: quantity to show, minimum.
  case displayTooSmall = 35
  /// Figures: quantity left, quantity expected.
  case orderChanged = 36
  /// Figures: the time quotes are taken again, batch time.
  case quotesFrozen = 37
  /// The account has no protection in the underlying.
  case noProtection = 38
  /// The account is under auction: it may cancel, and be paid into.
  case accountFrozen = 39
  /// What is bid for is not under auction, as far as execution was told.
  case notUnderAuction = 40
  /// Figures: trigger price, mark or index.
  case triggerReached = 44
  /// Orders gather for an auction: what would trade at once is not taken. Figures: the time of the
  /// auction, 0 if that is not known yet, and batch time.
  case gathering = 45
  /// Figures: what the legs of a combination would cost at their best, its limit.
  case netPrice = 46
  /// Figures: sessions open, the most.
  case tooManySessions = 47
  case unknownSession = 48
  /// An order quoted in volatility, in a contract that has none.
  case notAnOption = 49
  /// Figures: the price of the volatility, the tick it is below.
  case volatilityTooLow = 50
  /// The second leg of a block is no future or perpetual of the first's underlying.
  case notAHedge = 51
  /// Figures: accounts of the owner, the most.
  case tooManySubAccounts = 71
}

/// Whether an action did what it asked for.
@frozen public enum OutcomeStatus: UInt8, Sendable {
  case accepted = 0
  case filled = 1
  case rejected = 2
}

/// What became of one action: 32 bytes.
@frozen public struct Outcome: CanonicalRecord, Hashable {
  public static let byteCount = 32

  public var statusCode: UInt8
  private var reserved0: UInt8 = 0
  public var code: UInt16
  private var reserved1: UInt32 = 0
  /// For an order: quantity filled. For a refusal: see the code.
  public var figure1: Int64
  /// For an order: quantity left resting. For a refusal: see the code.
  public var figure2: Int64
  /// The order's id, if one was given.
  public var order: OrderID

  public static let empty = Outcome(.accepted)

  public init(
    _ status: OutcomeStatus, _ code: OutcomeCode = .done, _ figure1: Int64 = 0,
    _ figure2: Int64 = 0, order: OrderID = OrderID(0)
  ) {
    statusCode = status.rawValue
    self.code = code.rawValue
    self.figure1 = figure1
    self.figure2 = figure2
    self.order = order
  }

  public static func rejected(_ code: OutcomeCode, _ a: Int64 = 0, _ b: Int64 = 0) -> Outcome {
    Outcome(.rejected, code, a, b)
  }

  public var isCanonical: Bool {
    OutcomeStatus(rawValue: statusCode) != nil && OutcomeCode(rawValue: code) != nil
      && reserved0 == 0 && reserved1 == 0
  }

  public var status: OutcomeStatus { OutcomeStatus(rawValue: statusCode) ?? .rejected }
}

/// Why a bundle was refused at the door: it is not in the log and its nonce is still free.
@frozen public enum Refusal: UInt16, Error, Sendable, CaseIterable {
  case malformed = 100
  case wrongNetwork = 101
  case unknownAccount = 102
  case unknownKey = 103
  case expired = 104
  case expiryTooFar = 105
  case nonceUsed = 106
  case nonceTooOld = 107
  case rateLimited = 108
  case badSignature = 109
  case clearingBehind = 110
  case batchFull = 111
  case degraded = 112
  case recovering = 113

  /// Whether the same bundle may pass later.
  public var isRetryable: Bool {
    switch self {
    case .rateLimited, .clearingBehind, .batchFull, .degraded, .recovering: true
    case .malformed, .wrongNetwork, .unknownAccount, .unknownKey, .expired, .expiryTooFar,
      .nonceUsed, .nonceTooOld, .badSignature:
      false
    }
  }
}
