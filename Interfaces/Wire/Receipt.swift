public import Primitives

/// What a receipt is about.
@frozen public enum ReceiptKind: UInt8, Sendable {
  case trade = 1
  case deposit = 2
  case withdrawal = 3
  case release = 4
  case oracle = 5
  case governance = 6
  /// A position settled in cash at expiry.
  case expiry = 7
  /// The insurance fund paid what a closed account was short.
  case insurance = 8
  /// An account fell below maintenance, or rose above initial margin again.
  case restriction = 9
  /// A position's funding since it was last booked.
  case funding = 10
  /// An account's auction began.
  case auctionStart = 11
  /// An auction changed its phase, or was offered to bids at these figures.
  case auctionOffer = 12
  /// What became of a bid.
  case bid = 13
  /// A position went from an account under auction to a bidder, at its mark.
  case transfer = 14
  case auctionEnd = 15
  /// A position was closed against a bankrupt one, at its bankruptcy price.
  case deleveraging = 16
  /// What a debt of cash cost since it was last booked.
  case interest = 17
  /// Collateral went from an account under auction to a bidder, at its price.
  case collateral = 18
  /// Execution was told to close part of an account: what the decision went by.
  case close = 19
  /// An owner's further account.
  case opened = 20
  /// From one account of an owner to another.
  case ownerTransfer = 21
  /// How far a deleveraging went, so that it can be checked: its level, lots asked, taken and left.
  case deleveragingLevel = 22
  /// Something came back of a loss that others bore.
  case recovery = 23
  /// Who bore a loss was paid his part of what came back.
  case repayment = 24
}

/// Why clearing did not carry an instruction out.
@frozen public enum ReceiptCode: UInt8, Sendable {
  case done = 0
  case referenceUsed = 1
  case depositTooSmall = 2
  case depositLimit = 3
  case unknownWithdrawal = 4
  case notCustodian = 5
  case sequenceNotRising = 6
  case timeOutOfRange = 7
  case surfaceRefused = 8
  case termsRefused = 9
  case alreadyApproved = 10
  case insufficientBalance = 11
  case accountLimit = 12
  /// The deposit's owner is no key that could ever sign.
  case badKey = 13
  /// The member has as many undecided proposals as are allowed.
  case tooManyProposals = 14
  /// Insolvency exceeds the insurance fund, or the account may only reduce: no money leaves.
  case withdrawalsLocked = 15
  /// A position's mark is too old.
  case markTooOld = 16
  /// Initial margin would not hold at prudent prices.
  case marginShort = 17
  /// More than may leave of the asset at this time.
  case outflowLimit = 18
  /// Nothing of the account is for sale in this batch.
  case notForSale = 19
  /// The bidder is the account under auction, or another of its owner.
  case ownAuction = 20
  /// The bidder may only reduce, or execution has not yet seen what it last bought.
  case bidderBusy = 21
  /// A second bid of one account for one auction in a batch.
  case repeatedBid = 22
  /// The price of the batch is beyond the bid's worst.
  case priceBeyondWorst = 23
  /// The stake does not carry the part that was bid for.
  case stakeTooSmall = 24
  /// A position, or their number, would pass its limit.
  case positionLimit = 25
  /// Others took it all.
  case nothingLeft = 26
  /// The owner has as many accounts as one may have.
  case tooManySubAccounts = 27
  /// No order of its owner's: it pays what another of his accounts owes.
  case ownersDebt = 28
  /// Figures of a deleveraging beyond what can be planned with: the position stays.
  case beyondFigures = 29
  /// Of a hedge that closes at its mark, with the position it stood against.
  case hedgeLeg = 30
  /// Losses are on record for so many others that this one's record ends.
  case epochClosed = 31
}

/// What clearing did, one a fill and one an instruction, in the order it did it: 128 bytes. Fields
/// a kind does not use are zero.
@frozen public struct Receipt: CanonicalRecord, Hashable {
  public static let byteCount = 128

  public var kindCode: UInt8
  public var code: UInt8
  private var reserved: UInt16 = 0
  public var instrument = InstrumentID(0)
  /// The buyer, or the account concerned.
  public var buyer = AccountID(0)
  public var seller = AccountID(0)
  /// Trade or withdrawal id, or custodian's reference.
  public var id: UInt64 = 0
  public var price: Price = .zero
  public var quantity: Quantity = .zero
  /// Rounded up from price × quantity; for a deposit or withdrawal the amount.
  public var paid: Money = .zero
  /// Rounded down; the difference went to the rounding account.
  public var received: Money = .zero
  public var buyerFee: Money = .zero
  public var sellerFee: Money = .zero
  /// Positions and cash after.
  public var buyerPosition: Quantity = .zero
  public var sellerPosition: Quantity = .zero
  public var buyerRealised: Money = .zero
  public var sellerRealised: Money = .zero
  public var buyerCash: Money = .zero
  public var sellerCash: Money = .zero
  private var reserved2: UInt64 = 0

  public static let empty = Receipt(.trade)

  public init(_ kind: ReceiptKind, _ code: ReceiptCode = .done) {
    kindCode = kind.rawValue
    self.code = code.rawValue
  }

  public var isCanonical: Bool {
    kind != nil && ReceiptCode(rawValue: code) != nil && reserved == 0 && reserved2 == 0
  }

  public var kind: ReceiptKind? { ReceiptKind(rawValue: kindCode) }
}
