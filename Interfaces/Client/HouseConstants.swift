public import Wire

extension Constants {
  /// What `novate init` begins a network with: the defaults, which ask for none of these, and with them
  /// auctions, limits on what oracles and withdrawals do at once, and an insurance fund in tranches.
  ///
  /// Amounts are for a house with tens of millions in the quote asset of six digits (USDC). Auctions are
  /// those that Docs/Stress.md plays: Derive's discounts and fast phase, an insolvent phase of 15 minutes.
  public static let house: Constants = {
    let million: Int64 = 1_000_000 * 1_000_000
    var house = Constants()
    house.oracleDeviationMax = 100_000_000
    house.confidenceBand = 20_000_000
    house.holdBackBatchesMax = 60
    house.outflowDailyMax = 20 * million
    house.profitCountedMax = million
    house.auctionFast = 900_000
    house.auctionInsolvent = 900_000
    house.auctionFee = 10_000_000
    house.auctionNotionalMax = 20 * million
    house.auctionUnderlyingNotionalMax = 10 * million
    house.auctionPayoutMax = 20_000_000
    house.auctionPayoutDailyMax = million / 10
    house.lossEpochsMax = 32
    house.lossRecovery = 500_000_000
    house.insuranceTarget = 2 * million
    house.insuranceTrancheMax = million / 2
    return house
  }()
}
