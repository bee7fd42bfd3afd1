public import Primitives
public import Wire

// The words for numeric codes and their two figures: what was expected, what was found.

extension Outcome {
  /// What was done.
  func done(_ kind: ActionKind?) -> String {
    let (filled, left) = (Quantity(raw: figure1), Quantity(raw: figure2))
    switch kind {
    case .place, .replace: return placed(filled: filled, left: left)
    case .volatility: return priced(filled: filled, price: Price(raw: figure2))
    case .combination:
      let verb = figure1 < 0 ? "brought" : "cost"
      return
        "combination \(order) filled, every leg whole; it \(verb) \(Money(raw: Int64(clamping: figure1.magnitude)).decimal)"
    case .session: return "session \(order)"
    case .disconnect:
      return "session lost, orders cancelled: \(figure1)"
    case .trigger: return "order \(order) waits for its trigger with \(left.decimal)"
    case .timer:
      return figure1 == 0 ? "timer taken away" : "orders are cancelled at batch time \(figure1)"
    case .protect: return "protection set"
    case .massQuote:
      guard figure2 > 0, let code = OutcomeCode(rawValue: code) else {
        return "\(figure1) quotes stand or traded"
      }
      return "\(figure1) quotes stand or traded, \(figure2) refused: \(code.reason)"
    case .cancel: return "order \(order) cancelled with \(left.decimal) left"
    case .cancelAll: return figure1 == 1 ? "1 order cancelled" : "\(figure1) orders cancelled"
    case .block: return "traded \(filled.decimal)"
    case .hedgedBlock: return "traded \(filled.decimal), and its hedge"
    case .addKey: return "key valid from the next batch"
    case .revokeKey: return "key revoked from the next batch"
    case .withdraw: return "debited; clearing books it"
    case .transfer: return "debited; clearing pays it over"
    case .open: return "asked for; clearing opens it and says its number"
    case .deposit, .release, .index, .surface: return "sent to clearing"
    case .list, .halt, .margin: return "approval sent to clearing"
    case .bid: return "stake set aside; clearing answers with its batch"
    case nil: return "done"
    }
  }

  /// Of an order quoted in volatility: what is left follows from what it asked for.
  private func priced(filled: Quantity, price: Price) -> String {
    let text =
      "order \(order) at \(price.decimal)" + (filled.raw > 0 ? " filled \(filled.decimal)" : "")
    switch OutcomeCode(rawValue: code) {
    case .selfTrade: return text + "; the rest met the account's own order"
    case .batchFull: return text + "; the batch had no room for the rest"
    default: return text
    }
  }

  private func placed(filled: Quantity, left: Quantity) -> String {
    if code == OutcomeCode.selfTrade.rawValue {
      return "order \(order) filled \(filled.decimal); the rest met the account's own order"
    }
    if left.raw > 0, filled.raw > 0 {
      return "order \(order) filled \(filled.decimal), \(left.decimal) rests"
    }
    if left.raw > 0 { return "order \(order) rests with \(left.decimal)" }
    return filled.raw > 0
      ? "order \(order) filled \(filled.decimal)" : "order \(order) found nothing to fill"
  }
}

extension OutcomeCode {
  /// The code's name in words, where no figures stand beside it.
  var reason: String {
    "\(self)".reduce(into: "") { text, letter in
      text += letter.isUppercase ? " " + letter.lowercased() : String(letter)
    }
  }

  /// Why an action was not carried out.
  /// - Parameter digits: decimals of the amounts of `insufficientBalance`.
  public func message(_ figure1: Int64, _ figure2: Int64, digits: Int = Money.fractionDigits)
    -> String
  {
    let (price1, price2) = (Price(raw: figure1).decimal, Price(raw: figure2).decimal)
    let (quantity1, quantity2) = (Quantity(raw: figure1).decimal, Quantity(raw: figure2).decimal)
    switch self {
    case .done: return "done"
    case .unknownInstrument: return "expected a listed instrument, found none"
    case .instrumentHalted: return "expected an instrument that trades, found it halted"
    case .instrumentExpired: return "expected an instrument that trades, found it expired"
    case .priceOffTick: return "expected a price in steps of \(price2), found \(price1)"
    case .quantityOffLot: return "expected a quantity in steps of \(quantity2), found \(quantity1)"
    case .quantityTooLarge:
      return "expected a quantity of at most \(quantity2), found \(quantity1)"
    case .priceTooHigh: return "expected a price of at most \(price2), found \(price1)"
    case .wouldCross:
      return "expected a price short of the best opposite price \(price2), found \(price1)"
    case .notFillable: return "expected to fill \(quantity1) at once, found \(quantity2)"
    case .insufficientMargin:
      return
        "expected money left under the worst scenario, found \(Money(raw: figure1).decimal) (\(Money(raw: figure2).decimal) before)"
    case .tooManyOrders: return "expected fewer than \(figure2) open orders, found \(figure1)"
    case .unknownOrder: return "expected an open order of the account, found none"
    case .notReducing:
      return "expected at most \(quantity1), which reduces the position, found \(quantity2)"
    case .duplicateClientID:
      return "expected the terms of the open order of that client id, found others"
    case .tooManyPositions: return "expected fewer than \(figure2) positions, found \(figure1)"
    case .noMarketData: return "expected market data of the instrument, found none"
    case .marketDataStale:
      return "expected market data of at most \(figure2) ms, found it \(figure1) ms old"
    case .outOfScope: return "expected a key that may do this, found one that may not"
    case .tooManyKeys: return "expected room for another key, found none"
    case .unknownKey: return "expected a key of the account, found none"
    case .insufficientBalance:
      let (wanted, free) = (
        DecimalText.format(figure1, digits: digits), DecimalText.format(figure2, digits: digits)
      )
      return "expected an amount of at most \(free), found \(wanted)"
    case .unknownAsset: return "expected an asset of the network, found none"
    case .notAuthorised: return "expected an account in that role, found another"
    case .unknownAccount: return "expected an account, found none"
    case .selfTrade: return "expected two accounts, found one"
    case .counterpartySignature: return "expected the counterparty's signature on these terms"
    case .counterpartyNonce: return "expected an unused nonce of the counterparty, found it used"
    case .counterpartyExpired: return "expected terms still valid, found them expired"
    case .keyExists: return "expected a new key, found it registered"
    case .badKey: return "expected a key on the curve, found none"
    case .batchFull: return "expected room in the batch, found none; send it again"
    case .amountTooSmall:
      let (wanted, least) = (
        DecimalText.format(figure1, digits: digits), DecimalText.format(figure2, digits: digits)
      )
      return "expected an amount of at least \(least), found \(wanted)"
    case .priceOutsideBand:
      let edge = figure1 > figure2 ? "at most" : "at least"
      return "expected a price within the band, \(edge) \(price2), found \(price1)"
    case .orderExpired: return "expected an expiry after batch time \(figure2), found \(figure1)"
    case .displayTooSmall:
      return "expected to show at least \(quantity2), found \(quantity1)"
    case .quotesFrozen:
      return figure1 == .max
        ? "expected quotes that are not frozen, found them frozen until they are reset"
        : "expected batch time \(figure1), when quotes are taken again, found \(figure2)"
    case .gathering:
      return figure1 == 0
        ? "expected an order that rests until the auction, found one that does not"
        : "expected an order that rests until the auction at \(figure1), found one that does not"
    case .netPrice:
      let (cost, limit) = (Money(raw: figure1).decimal, Money(raw: figure2).decimal)
      return "expected all legs for at most \(limit) together, found \(cost)"
    case .tooManySessions:
      return "expected fewer than \(figure2) open sessions, found \(figure1)"
    case .unknownSession: return "expected an open session of the account, found none"
    case .notAnOption: return "expected an option, found a contract without volatility"
    case .tooManySubAccounts:
      return "expected fewer than \(figure2) accounts of one owner, found \(figure1)"
    case .notAHedge:
      return "expected a hedge in a future or perpetual of the same underlying, found another"
    case .volatilityTooLow:
      return "expected a volatility whose price is at least \(price2), found \(price1)"
    case .triggerReached:
      return "expected a trigger not yet reached, found \(price2) at or past \(price1)"
    case .noProtection: return "expected a protection in the underlying, found none"
    case .accountFrozen: return "expected an account that trades, found it under auction"
    case .notUnderAuction: return "expected an account under auction, found none"
    case .orderChanged: return "expected \(quantity2) left of the order, found \(quantity1)"
    }
  }
}

extension Refusal {
  /// Why a bundle was not taken.
  public func message(_ figure1: Int64 = 0, _ figure2: Int64 = 0) -> String {
    let nonce = figure1 == 0 ? "it" : "\(UInt64(bitPattern: figure1))"
    let text =
      switch self {
      case .malformed: "expected a bundle, found other bytes"
      case .wrongNetwork: "expected a bundle of this network, found one of another"
      case .unknownAccount: "expected an account, found none"
      case .unknownKey: "expected a key of the account, found another"
      case .expired:
        "expected an expiry after batch time \(figure2), found \(figure1)"
      case .expiryTooFar:
        "expected an expiry nearer to batch time \(figure2), found \(figure1)"
      case .nonceUsed: "expected an unused nonce, found \(nonce) used"
      case .nonceTooOld:
        "expected a nonce inside the window, found \(nonce) below it"
      case .rateLimited: "expected fewer bundles a second of this key"
      case .badSignature: "expected the key's signature, found another"
      case .clearingBehind: "execution is as far ahead of clearing as it may be"
      case .batchFull: "expected room in the batch, found none"
      case .degraded: "execution takes no new work: its disk is full or failing"
      case .recovering: "execution takes no new work: it is recovering"
      }
    return text + (isRetryable ? "; try again" : "")
  }
}
