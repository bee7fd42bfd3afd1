public import Primitives
import Risk
public import Wire

extension ClearingMachine {
  /// The accounts that packed receipts say were told to close, or whose auction began.
  public static func decided(in receipts: [UInt8]) -> [AccountID] {
    stride(from: 0, to: receipts.count, by: Receipt.byteCount).compactMap { place in
      let kind = receipts[place]
      guard kind == ReceiptKind.close.rawValue || kind == ReceiptKind.auctionStart.rawValue else {
        return nil
      }
      return Receipt(receipts.rawSpan, at: place).buyer
    }
  }

  /// Whether packed receipts say that an account was repaid of a loss epoch after the one at a place: its
  /// cash under the state root is then not what a decision there went by, and only a replay can judge it.
  public static func isRepaid(_ account: AccountID, in receipts: [UInt8], after place: Int) -> Bool
  {
    let first = (place + 1) * Receipt.byteCount
    return stride(from: first, to: receipts.count, by: Receipt.byteCount).contains { offset in
      guard receipts[offset] == ReceiptKind.repayment.rawValue else { return false }
      return Receipt(receipts.rawSpan, at: offset).buyer == account
    }
  }

  /// Takes the decision to auction an account off again, by the code that took it, from nothing but the
  /// account and its market as the batch left them in which the auction began.
  ///
  /// How many others began in that batch and how full the fund's tranches were is not shown: that the
  /// auction found room, and which part of its fee tranches took, only a replay can tell.
  /// - Parameters:
  ///   - witness: its state root has been compared with the header's.
  ///   - claimed: the receipt that clearing signed.
  /// - Returns: the receipt that the rules give.
  public static func auctionStart(
    _ witness: MarginWitness, _ claimed: Receipt, _ genesis: Genesis
  ) throws(DecisionFailure) -> Receipt {
    guard genesis.constants.auctionFast > 0 else { throw .notDue("the network has no auctions") }
    var state = try ShownState(witness, genesis)
    guard let auction = state.auction else { throw .missing("the auction") }
    guard state.account.isFrozen, auction.account == witness.account.account,
      auction.number == claimed.id, auction.batch == state.status.batch
    else { throw .notDue("no such auction of the account began in this batch") }
    // As before the start: neither frozen nor charged.
    let bound = Int64.max / 2
    guard (0...bound).contains(claimed.paid.raw), (1..<1 << 62).contains(claimed.id) else {
      throw .unsound("the receipt's fee or number")
    }
    state.account.cash = Money(raw: state.account.cash.raw + claimed.paid.raw)
    state.account.flags = AccountFlags(rawValue: state.account.flags).mode.rawValue
    state.status.auctions = claimed.id - 1
    guard state.account.hasSoundDebt(upTo: state.fund.interest) || state.account.cash.raw >= 0
    else { throw .unsound("the account's debt") }
    var machine = ClearingMachine(showing: state, genesis)
    for _ in genesis.underlyings { machine.payouts.append(.empty) }
    return try machine.startShown(claimed)
  }

  /// The one account shown, as number 0, goes through the watch.
  private mutating func startShown(_ claimed: Receipt) throws(DecisionFailure) -> Receipt {
    let shown = AccountID(0)
    let standing = try shortfall(of: shown)
    do throws(ArithmeticFailure) {
      try startAuction(of: shown, standing, isCancelled: true)
    } catch {
      throw .unsound("figures that no account has: \(error)")
    }
    let written = receipts.bytes
    guard written.count >= Receipt.byteCount else { throw .notDue("no auction may begin") }
    var receipt = Receipt(written.rawSpan, at: written.count - Receipt.byteCount)
    guard receipt.kind == .auctionStart else { throw .notDue("no auction may begin") }
    receipt.buyer = claimed.buyer
    // Empty tranches take the most that any can.
    if (0...receipt.sellerPosition.raw).contains(claimed.sellerPosition.raw) {
      receipt.sellerPosition = claimed.sellerPosition
    }
    return receipt
  }
}
