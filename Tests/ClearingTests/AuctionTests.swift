import Commitments
import Instruments
import Primitives
import Risk
import TestSupport
import Testing
import Wire

@testable import Clearing

extension House {
  /// A house whose constants ask for auctions.
  static func auctions(clients: Int = 6, _ change: (inout Constants) -> Void = { _ in }) -> House {
    var constants = Constants()
    constants.auctionFast = 900_000
    change(&constants)
    return House(
      clients: clients, constants: constants, instruments: TestWorld.instruments(fees: false))
  }

  static func money(_ whole: Int64) -> Int64 { whole * Money.scale }

  /// Sets the index and clears; execution has adopted all but the batch before.
  @inline(never)
  @discardableResult
  mutating func mark(_ price: Int64, after milliseconds: Int64 = 1_000) throws -> ClearingResult {
    index(0, price * Price.scale)
    credit = number == 0 ? .max : number - 1
    return try clear(after: milliseconds)
  }

  @inline(never)
  mutating func bid(
    _ client: Int, for account: Int, part: Int64 = Ratio.scale, stake: Int64 = 20_000,
    worst: Int64 = 1_000_000
  ) {
    instruct(
      House.client(client),
      [
        .bid(
          AuctionOffer(
            account: House.client(account), stake: Money(raw: House.money(stake)),
            worst: Money(raw: House.money(worst)), part: Ratio(raw: part)))
      ])
  }

  /// Client `long` has 2 000 and holds ten of the perpetual, bought at 1 000 of client 1; everyone
  /// else has 100 000.
  @inline(never)
  mutating func openLong(_ longs: [Int] = [0], fund: Int64 = 0) throws {
    for client in 0..<(genesis.accounts.count - TestWorld.firstClient) {
      deposit(House.client(client), House.money(longs.contains(client) ? 2_000 : 100_000))
    }
    if fund > 0 { deposit(.zero, House.money(fund)) }
    index(0, 1_000 * Price.scale)
    for client in longs {
      fill(
        buyer: client, seller: 1, 0, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    }
    try clear()
  }

  static func bids(_ result: ClearingResult) -> [Receipt] {
    receipts(result).filter { $0.kind == .bid }
  }

  @inline(never)
  func flags(_ client: Int) -> UInt32 {
    machine.view(House.client(client))?.flags.rawValue ?? .max
  }
}

@Suite("Liquidation by auction") struct AuctionTests {
  // Ten at 1 000 with 2 000, marked at 900: equity 1 000, initial margin 1 440, maintenance 1 152;
  // MM = −152, BM = −152 − 0.15 · 1 152 = −324.8.

  @Test("an account below maintenance is frozen, its orders cancelled, the fee paid to the fund")
  func start() throws {
    var house = House.auctions { $0.auctionFee = 10_000_000 }
    try house.openLong()
    let result = try house.mark(900)
    #expect(result.body.directives == [Directive(cancelAllOf: House.client(0))])
    #expect(house.flags(0) == 3 && house.flags(1) == 0)
    let receipt = try #require(House.receipts(result).first { $0.kind == .auctionStart })
    // 324.8 / (324.8 + 1 000) of 1 000, and a hundredth of that, rounded up twice.
    #expect(receipt.paid.raw == 2_451_691 && receipt.received.raw == House.money(1_000))
    #expect(receipt.buyerFee.raw == -House.money(152) && receipt.id == 1)
    #expect(receipt.sellerFee.raw == House.money(9_000))
    #expect(house.machine.fund(.quote).insurance == 2_451_691 && house.imbalances == [0, 0])
  }

  @Test("a bid before execution knows the freeze finds nothing for sale")
  func early() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900)
    house.bid(2, for: 0)
    house.index(0, 900 * Price.scale)
    house.credit = 0
    #expect(House.bids(try house.clear()).map(\.code) == [ReceiptCode.notForSale.rawValue])
    house.bid(2, for: 1)
    let late = House.bids(try house.mark(900))
    #expect(late.map(\.code) == [ReceiptCode.notForSale.rawValue])
    #expect(house.flags(0) == 3 && house.position(0, 0) == 10 * Quantity.scale)
  }

  @Test("half of the fast phase: 0.825 of the value, and as much as restores the buffer")
  func sale() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900, after: 450_000)
    house.bid(2, for: 0)
    let result = try house.mark(900)
    let receipts = House.receipts(result)
    let offer = try #require(receipts.first { $0.kind == .auctionOffer })
    #expect(offer.price.raw == 450_000 && offer.quantity.raw == 282_483_911)
    #expect(offer.paid.raw == House.money(825) && offer.received.raw == House.money(1_000))
    let transfer = try #require(receipts.first { $0.kind == .transfer })
    #expect(transfer.quantity.raw == 283_000_000 && transfer.price.raw == 900 * Price.scale)
    #expect(transfer.buyer == House.client(2) && transfer.seller == House.client(0))
    let bid = try #require(House.bids(result).first)
    #expect(bid.code == 0 && bid.quantity.raw == 282_483_911)
    #expect(bid.paid.raw == 233_049_227 && bid.received.raw == 282_483_911)
    #expect(receipts.contains { $0.kind == .auctionEnd })
    // 2 000 − 283 realised − 282.483911 handed over + 233.049226 received.
    #expect(house.cash(0) == 1_667_565_315 && house.position(0, 0) == 717_000_000)
    #expect(house.cash(2) == House.money(100_000) + 282_483_911 - 233_049_227)
    #expect(house.position(2, 0) == 283_000_000 && house.flags(0) == 1)
    #expect(house.machine.fund(.quote).rounding == 1 && house.imbalances == [0, 0])
    let margin = house.machine.margin(House.client(0))
    #expect(margin.equity.raw == 950_565_315 && margin.maintenance.raw == 825_984_000)
  }

  @Test("earlier bidders' money is reserved: the second pays for what is left without it")
  func reserved() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900, after: 450_000)
    house.bid(2, for: 0, part: 100_000_000)
    try house.mark(900)
    // A tenth for 82.5: marked 982.5, of which 82.5 are reserved.
    house.bid(3, for: 0, part: 100_000_000)
    let result = try house.mark(900, after: 0)
    let offer = try #require(House.receipts(result).first { $0.kind == .auctionOffer })
    #expect(offer.received.raw == 982_500_000 && offer.sellerFee.raw == 82_500_000)
    // 900 at a discount one second older, rounded up: 0.824722222…
    #expect(offer.paid.raw == 742_250_000)
    #expect(house.position(3, 0) == 90_000_000 && house.imbalances == [0, 0])
  }

  @Test("two bidders of one batch pay one price, pro rata, whatever their order")
  func proRata() throws {
    var roots: [Digest] = []
    for order in [[2, 3], [3, 2]] {
      var house = House.auctions()
      try house.openLong()
      try house.mark(900, after: 450_000)
      for client in order { house.bid(client, for: 0, part: 200_000_000) }
      let bids = House.bids(try house.mark(900))
      #expect(bids.map(\.buyer) == [House.client(2), House.client(3)])
      #expect(bids.map(\.quantity.raw) == [141_241_956, 141_241_955])
      #expect(bids.map(\.received.raw) == [141_241_956, 141_241_955])
      // 1.41241956 and 2.82483911 contracts, each rounded up to the lot.
      #expect(house.position(2, 0) == 142_000_000 && house.position(3, 0) == 141_000_000)
      roots.append(house.root)
    }
    #expect(roots[0] == roots[1])
  }

  @Test("every refusal of a bid, and nothing changes by it")
  func refusals() throws {
    var house = House.auctions {
      $0.positionsPerAccountMax = 1
    }
    try house.openLong([0, 4])
    // Client 5 holds something else, and may hold no more.
    house.index(1, 100 * Price.scale)
    house.fill(buyer: 5, seller: 1, 4, price: 100 * Price.scale, quantity: Quantity.scale)
    try house.mark(900, after: 450_000)
    // Client 3's own margin is used up.
    house.fill(buyer: 3, seller: 1, 0, price: 900 * Price.scale, quantity: 694 * Quantity.scale)
    house.bid(0, for: 0)
    house.bid(4, for: 0)
    house.bid(2, for: 0, worst: 824)
    house.bid(2, for: 0)
    house.bid(3, for: 0, part: 200_000_000)
    house.bid(5, for: 0)
    house.bid(1, for: 0, part: 1_000_000, stake: 1)
    let before = (house.cash(0), house.position(0, 0))
    let codes = House.bids(try house.mark(900)).map { ($0.buyer, $0.code) }
    let expected: [(Int, ReceiptCode)] = [
      (0, .ownAuction), (1, .stakeTooSmall), (2, .priceBeyondWorst), (2, .repeatedBid),
      (3, .marginShort), (4, .bidderBusy), (5, .positionLimit),
    ]
    for (found, wanted) in zip(codes, expected) {
      #expect(found.0 == House.client(wanted.0) && found.1 == wanted.1.rawValue, "\(wanted)")
    }
    #expect(codes.count == expected.count)
    #expect(house.cash(0) == before.0 && house.position(0, 0) == before.1)
  }

  @Test("a stake carries the part: what it requires alone, less what is gained by its price")
  func stake() throws {
    // A tenth at 0.825: 1 contract requires 144; 100 of value for 82.5; a unit for its transfer.
    for (stake, isEnough) in [(126_500_001, true), (126_500_000, false)] as [(Int64, Bool)] {
      var house = House.auctions()
      try house.openLong()
      try house.mark(900, after: 450_000)
      house.instruct(
        House.client(2),
        [
          .bid(
            AuctionOffer(
              account: House.client(0), stake: Money(raw: stake),
              worst: Money(raw: House.money(825)), part: Ratio(raw: 100_000_000)))
        ])
      let bids = House.bids(try house.mark(900))
      #expect(bids.map(\.code) == [isEnough ? 0 : ReceiptCode.stakeTooSmall.rawValue])
    }
  }

  @Test("who has bought waits until execution knows it")
  func busy() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900, after: 450_000)
    house.bid(2, for: 0, part: 10_000_000)
    let bought = house.number
    #expect(House.bids(try house.mark(900)).map(\.code) == [0])
    for (credit, code) in [(bought - 1, ReceiptCode.bidderBusy), (bought, .done)] {
      house.bid(2, for: 0, part: 10_000_000)
      house.index(0, 900 * Price.scale)
      house.credit = credit
      #expect(House.bids(try house.clear()).map(\.code) == [code.rawValue])
    }
  }

  // MARK: - Caps

  @Test("notional under auction is capped, in all and by underlying; the first finds room always")
  func caps() throws {
    for total in [true, false] {
      var house = House.auctions {
        if total {
          $0.auctionNotionalMax = House.money(10_000)
        } else {
          $0.auctionUnderlyingNotionalMax = House.money(8_000)
        }
      }
      try house.openLong([0, 2])
      try house.mark(900, after: 450_000)
      #expect(house.flags(0) == 3 && house.flags(2) == 1)
      house.bid(3, for: 0)
      try house.mark(900)
      // The first is over; the second begins in the same batch.
      #expect(house.flags(0) == 1 && house.flags(2) == 3)
      #expect(house.imbalances == [0, 0])
    }
  }

  @Test("so many begin in a batch, by number, and the others in the next")
  func startsPerBatch() throws {
    var house = House.auctions { $0.auctionStartsMax = 1 }
    try house.openLong([0, 2, 3])
    for expected in [[3, 1, 1], [3, 3, 1], [3, 3, 3]] as [[UInt32]] {
      let waited = house.flags(3) == 1
      let directives = try house.mark(900).body.directives
      // What waited may have placed orders that reduce: they are cancelled once more.
      #expect(directives.count == (waited ? 1 : 3))
      #expect(directives.allSatisfy { $0.kindCode == DirectiveKind.cancelAll.rawValue })
      #expect([0, 2, 3].map { house.flags($0) } == expected)
    }
  }

  // MARK: - Phases

  @Test("a deposit or a better mark that restores the buffer ends it")
  func restored() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900)
    house.deposit(House.client(0), House.money(324))
    try house.mark(900)
    #expect(house.flags(0) == 3)
    house.deposit(House.client(0), House.money(1))
    let result = try house.mark(900)
    #expect(House.receipts(result).contains { $0.kind == .auctionEnd })
    #expect(house.flags(0) == 1)
    try house.mark(1_000)
    #expect(house.flags(0) == 0)
  }

  @Test("insolvent: the fund makes the debt good; beyond it the caps hold, and that is locked")
  func insolvent() throws {
    var house = House.auctions {
      $0.auctionPayoutMax = 10_000_000
      $0.auctionPayoutDailyMax = House.money(50)
    }
    try house.openLong(fund: 1_000)
    // Ten at 780: −200; initial 1 248, maintenance 998.4, MM −1 198.4.
    let started = try house.mark(780, after: 1_800_000)
    #expect(House.receipts(started).first { $0.kind == .auctionStart }?.instrument.raw == 2)
    house.bid(2, for: 0, worst: -250)
    let result = try house.mark(780, after: 0)
    let bid = try #require(House.bids(result).first)
    // Half of 998.4 is beyond the caps of 78 and 50.
    #expect(bid.code == 0 && bid.paid.raw == -House.money(250))
    #expect(bid.received.raw == -House.money(200) && bid.quantity.raw == Ratio.scale)
    #expect(house.cash(0) == 0 && house.position(0, 0) == 0 && house.flags(0) == 0)
    #expect(house.cash(2) == House.money(100_050) && house.position(2, 0) == 10 * Quantity.scale)
    #expect(house.machine.fund(.quote).insurance == House.money(750))
    #expect(house.imbalances == [0, 0])
    func leave(_ amount: Int64) throws -> UInt8 {
      house.instruct(
        House.client(2),
        [.withdraw(asset: .quote, amount: Amount(raw: amount), destination: .zero)])
      let receipts = House.receipts(try house.mark(780, after: 0))
      return try #require(receipts.first { $0.kind == .withdrawal }).code
    }
    // 100 050 less 1 248 of margin and 50 that are locked.
    #expect(try leave(House.money(98_752) + 1) == ReceiptCode.marginShort.rawValue)
    #expect(try leave(House.money(98_752)) == 0)
    house.time = Timestamp(raw: house.time.raw + 86_399_999)
    try house.mark(780, after: 0)
    #expect(try leave(1) == ReceiptCode.marginShort.rawValue)
    house.time = Timestamp(raw: house.time.raw + 1)
    #expect(try leave(House.money(50)) == 0)
  }

  @Test("what the fund cannot pay for is not for sale: the other side takes it next")
  func smallFund() throws {
    var house = House.auctions()
    try house.openLong(fund: 100)
    try house.mark(780)
    house.bid(2, for: 0, worst: -200)
    let bid = try #require(House.bids(try house.mark(780)).first)
    #expect(bid.quantity.raw == 500_000_000 && bid.paid.raw == -House.money(100))
    #expect(house.position(2, 0) == 5 * Quantity.scale && house.flags(0) == 3)
    #expect(house.machine.fund(.quote).insurance == 0 && house.imbalances == [0, 0])
    // 100 are still missing and there is no fund: the short gives five contracts at 800.
    house.bid(3, for: 0, worst: -200)
    let next = try house.mark(780)
    #expect(House.bids(next).map(\.code) == [ReceiptCode.notForSale.rawValue])
    let taken = try #require(House.receipts(next).first { $0.kind == .deleveraging })
    #expect(taken.price.raw == 800 * Price.scale && taken.quantity.raw == 5 * Quantity.scale)
    #expect(taken.buyer == House.client(1) && taken.seller == House.client(0))
    #expect(house.cash(0) == 0 && house.flags(0) == 0)
    #expect(house.position(1, 0) == -5 * Quantity.scale)
  }

  @Test("deleveraging takes from the most leveraged first, and leaves the account with nothing")
  func leveraged() throws {
    var house = House.auctions()
    try house.openLong(fund: 50)
    house.fill(buyer: 2, seller: 1, 0, price: 1_000 * Price.scale, quantity: 5 * Quantity.scale)
    house.fill(buyer: 4, seller: 3, 0, price: 1_000 * Price.scale, quantity: 300 * Quantity.scale)
    try house.mark(1_000)
    try house.mark(780)
    #expect(house.machine.auctions[0].phase == AuctionRecord.insolvent)
    try house.mark(780)
    #expect(house.machine.auctions[0].phase == AuctionRecord.deleveraging && house.flags(0) == 3)
    let receipts = House.receipts(try house.mark(780))
    let taken = receipts.filter { $0.kind == .deleveraging }
    // The fund's 50 leave 150 of 200: 15 a contract. Client 3 is short 300, client 1 only 15.
    #expect(taken.map(\.buyer) == [House.client(3)])
    #expect(taken[0].price.raw == 795 * Price.scale && taken[0].buyerFee.raw == 174_582_889)
    #expect(house.machine.fund(.quote).insurance == 0 && house.imbalances == [0, 0])
    #expect(house.cash(0) == 0 && house.position(0, 0) == 0 && house.flags(0) == 0)
  }

  @Test("solvent accounts that fall below nothing become insolvent; the clock starts anew")
  func fall() throws {
    var house = House.auctions()
    try house.openLong(fund: 10_000)
    try house.mark(900, after: 400_000)
    house.bid(2, for: 0, part: 10_000_000)
    try house.mark(900, after: 300_000)
    let result = try house.mark(780)
    let offer = try #require(House.receipts(result).first { $0.kind == .auctionOffer })
    #expect(offer.instrument.raw == 2 && offer.price.raw == 0 && offer.sellerFee.raw == 0)
    #expect(house.machine.auctions[0].phase == AuctionRecord.insolvent)
    #expect(house.machine.auctions[0].reserved == .zero)
  }

  @Test("a solvent account that nobody takes even for nothing is closed against the book")
  func overdue() throws {
    var house = House.auctions { $0.auctionSlow = 100_000 }
    try house.openLong(fund: 1_000)
    try house.mark(900, after: 1_000_000)
    let result = try house.mark(900)
    #expect(house.flags(0) == 1 && house.machine.auctions[0].phase == AuctionRecord.overdue)
    #expect(result.body.directives.map(\.kindCode) == [DirectiveKind.close.rawValue])
    house.bid(2, for: 0)
    house.fill(
      buyer: 1, seller: 0, 0, price: 900 * Price.scale, quantity: 10 * Quantity.scale,
      takerSide: .sell)
    let last = try house.mark(900)
    #expect(House.bids(last).map(\.code) == [ReceiptCode.notForSale.rawValue])
    #expect(house.cash(0) == House.money(1_000) && house.flags(0) == 0)
    #expect(house.machine.auctions[0].phase == 0)
  }

  @Test("an auction waits while a mark is old")
  func stale() throws {
    var house = House.auctions()
    try house.openLong()
    try house.mark(900, after: 6_000)
    house.bid(2, for: 0)
    house.credit = house.number - 1
    let codes = House.bids(try house.clear()).map(\.code)
    #expect(codes == [ReceiptCode.notForSale.rawValue])
  }
}
