import Instruments
import Margin
import Primitives
import Risk
import Wire

// Other assets than the quote asset as margin: what counts of a balance is worth its underlying's
// index, moves with it in every scenario, and is held less a haircut.

/// An amount of an asset that is thought away from an account.
struct Leaving {
  var asset: AssetID
  var amount: Amount
}

extension ClearingMachine {
  /// The asset's terms in force.
  @inline(__always)
  func collateralTerms(_ asset: AssetID) -> CollateralTerms {
    asset.index < MarginTerms.collateralCount
      ? margins[Int(status[0].margin)].collaterals[asset.index] : .empty
  }

  /// Puts what counts of an account's balances on the sheet, and says what it is worth.
  mutating func weighCollateral(_ account: AccountID, less leaving: Leaving? = nil)
    -> CollateralTable.Worth
  {
    var sum = CollateralTable.Worth.none
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      guard collaterals.counts(record.asset) else { continue }
      var amount = record.amount
      if let leaving, leaving.asset == record.asset {
        amount = Amount(raw: amount.raw - leaving.amount.raw)
      }
      collaterals.add(record.asset, amount, to: &sheet)
      sum = sum + collaterals.worth(record.asset, amount)
    }
    return sum
  }

  /// Whether an account has something that a price can take from it: a position, or collateral that
  /// stands behind a debt.
  @inline(__always)
  func isExposed(_ account: AccountID) -> Bool {
    if accounts[account.index].firstPosition != 0 { return true }
    return accounts[account.index].cash.raw < 0 && holdsCollateral(account) { _ in true }
  }

  /// Whether an account holds something that counts, and of which `condition` holds.
  @inline(__always)
  func holdsCollateral(_ account: AccountID, where condition: (AssetID) -> Bool) -> Bool {
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      if collaterals.counts(record.asset),
        collaterals.counted(record.asset, of: record.amount).raw > 0,
        condition(record.asset)
      {
        return true
      }
    }
    return false
  }

  /// Whether the index behind a counting asset is fresh.
  @inline(__always)
  func isPriceFresh(_ asset: AssetID) -> Bool {
    guard let underlying = collaterals.underlying(asset) else { return false }
    return isFresh(underlying)
  }

  /// What counts of an account's balances, in the order of assets: what an auction sells with it.
  @inline(__always)
  func countedCollateral(of account: AccountID) -> [Leaving] {
    var found: [Leaving] = []
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      guard collaterals.counts(record.asset) else { continue }
      let counted = collaterals.counted(record.asset, of: record.amount)
      if counted.raw > 0 { found.append(Leaving(asset: record.asset, amount: counted)) }
    }
    return found
  }

  /// Why terms of the margin method cannot be proposed: an asset or underlying that is not there, no
  /// auctions to sell collateral in, or a cap whose growth began before anybody knew.
  func collateralRefusal(_ terms: MarginTerms) -> ReceiptCode? {
    guard terms.fits(assets: genesis.assets.count, underlyings: genesis.underlyings.count),
      !terms.takesCollateral || genesis.constants.auctionFast > 0
    else { return .termsRefused }
    for asset in 1..<MarginTerms.collateralCount where terms.collaterals[asset] != .empty {
      let own = terms.collaterals[asset]
      let stood = margins[Int(status[0].margin)].collaterals[asset]
      let isSameGrowth =
        stood != .empty && own.listed == stood.listed && own.ageing == stood.ageing
        && own.capStart == stood.capStart && own.capEnd == stood.capEnd
      guard isSameGrowth || own.listed >= time else { return .termsRefused }
    }
    return nil
  }

  /// A part of an account's collateral goes to a bidder at its price, rounded against both.
  mutating func hand(
    over part: Leaving, from account: AccountID, to bidder: AccountID, _ number: UInt64
  ) throws(ArithmeticFailure) {
    let value = collaterals.price(part.asset) * collaterals.quantity(part.asset, part.amount)
    let paid = try value.money(rounding: .up)
    let received = try value.money(rounding: .down)
    var receipt = Receipt(.collateral)
    receipt.instrument = InstrumentID(UInt32(part.asset.raw))
    receipt.buyer = bidder
    receipt.seller = account
    receipt.id = number
    receipt.price = collaterals.price(part.asset)
    receipt.quantity = Quantity(raw: part.amount.raw)
    receipt.paid = paid
    receipt.received = received
    receipt.buyerPosition = Quantity(raw: try credit(bidder, part.asset, part.amount.raw).raw)
    receipt.sellerPosition = Quantity(
      raw: try credit(account, part.asset, 0 - part.amount.raw).raw)
    receipt.buyerCash = try credit(bidder, .quote, 0 - paid.raw)
    receipt.sellerCash = try credit(account, .quote, received.raw)
    funds[0].rounding = try sum(funds[0].rounding, paid.raw - received.raw)
    receipts.write(record: receipt)
  }
}
