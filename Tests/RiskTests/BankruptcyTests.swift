import Primitives
import Testing

@testable import Risk

@Suite("Bankruptcy and fillable price") struct BankruptcyTests {
  /// (collateral, requirement, ΔNNV, ΔMMR, price), whole quote units: −ΔNNV − ⌊TNC·|ΔMMR| ÷ TMMR⌋,
  /// field.md 2.8.
  @Test(
    "bankruptcy price of a close, by the formula",
    arguments: [
      // A long of 1 at 100 with 5 of requirement: equity 5 is lost at 95, at once.
      (5, 5, -100, -5, 95),
      // Equity 2: it may fall to 98.
      (2, 5, -100, -5, 98),
      // Half the position takes half the equity.
      (2, 4, -50, -2, 49),
      // Insolvent by 3: it would take 103.
      (-3, 5, -100, -5, 103),
      // A short of 1 at 100 with equity 4: it can pay up to 104.
      (4, 5, 100, -5, -104),
      // Two positions: this one bears 10 of 40 of the requirement.
      (8, 40, -1_000, -10, 998),
    ])
  func bankruptcy(row: (Int64, Int64, Int64, Int64, Int64)) throws {
    let state = Bankruptcy(collateral: money(row.0), maintenance: money(row.1))
    let found = try state.price(valueChange: money(row.2), requirementChange: money(row.3))
    #expect(found == money(row.4))
  }

  @Test("the quotient is floored, so the price rounds up")
  func rounding() throws {
    // 1 × 1 ÷ 3 is 0; −1 × 1 ÷ 3 is −1.
    let state = Bankruptcy(collateral: Money(raw: 1), maintenance: Money(raw: 3))
    let loss = Bankruptcy(collateral: Money(raw: -1), maintenance: Money(raw: 3))
    let one = Money(raw: -1)
    #expect(try state.price(valueChange: Money(raw: -9), requirementChange: one).raw == 9)
    #expect(try loss.price(valueChange: Money(raw: -9), requirementChange: one).raw == 10)
  }

  /// Equity in percent of the requirement of 10 on one contract at 100, fillable price of the long
  /// and of the short in 1e-8: (PNNV − ABR·0.1·10) ÷ ±1.
  @Test(
    "the limit slides from the mark to a tenth of the requirement away",
    arguments: [
      (150, 10_000_000_000, 10_000_000_000), (100, 10_000_000_000, 10_000_000_000),
      (75, 9_975_000_000, 10_025_000_000), (50, 9_950_000_000, 10_050_000_000),
      (0, 9_900_000_000, 10_100_000_000), (-40, 9_900_000_000, 10_100_000_000),
    ])
  func fillable(row: (Int64, Int64, Int64)) throws {
    let state = Bankruptcy(
      collateral: Money(raw: row.0 * 100_000), maintenance: money(10))
    let long = try state.fillablePrice(
      value: money(100), requirement: money(10), size: contracts(1), adjustment: .one,
      spread: percent(10))
    let short = try state.fillablePrice(
      value: money(-100), requirement: money(10), size: contracts(-1), adjustment: .one,
      spread: percent(10))
    #expect(long.raw == row.1)
    #expect(short.raw == row.2)
  }

  /// Quote, bankruptcy quote, change of the fund in millionths at 0.5 %.
  @Test(
    "the fund takes at most half a percent, and pays what is missing",
    arguments: [
      (100, 90, 500_000), (100, 100, 0), (95, 100, -5_000_000), (-100, -110, 500_000),
      (-110, -100, -10_000_000),
    ])
  func insurance(row: (Int64, Int64, Int64)) throws {
    let found = try Bankruptcy.insuranceChange(
      quote: money(row.0), bankruptcy: money(row.1), rateMax: Ratio(raw: 5_000_000))
    #expect(found.raw == row.2)
    let little = try Bankruptcy.insuranceChange(
      quote: Money(raw: 1_001), bankruptcy: Money(raw: 1_000), rateMax: percent(1))
    #expect(little.raw == 1, "never more than what is above bankruptcy")
  }

  @Test("closing at the bankruptcy price keeps the ratio, whatever the part", arguments: 1...4)
  func ratio(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<5_000 {
      let requirement = generator.within(1...1_000_000_000_000)
      let collateral = generator.within(-requirement...requirement * 2)
      let part = generator.within(0...requirement)
      let value = generator.within(-1_000_000_000_000...1_000_000_000_000)
      let state = Bankruptcy(
        collateral: Money(raw: collateral), maintenance: Money(raw: requirement))
      let quote = try state.price(
        valueChange: Money(raw: 0 - value), requirementChange: Money(raw: 0 - part))
      // Collateral after, over requirement after, against the ratio before: within one unit, up.
      let after = Int128(collateral) - Int128(value) + Int128(quote.raw)
      let error = after * Int128(requirement) - Int128(collateral) * Int128(requirement - part)
      #expect(error >= 0 && error < Int128(requirement), "seed \(seed)")
    }
  }

  @Test("a part large enough to end the shortage, no lot more")
  func partial() throws {
    // Shortage 10, price 100, margin ratio 10 %, fees 2 %: 10 ÷ (100 × 0.08) = 1.25.
    let size = { (lot: Int64) in
      try PartialLiquidation.size(
        shortage: money(10), price: price(100), marginRatio: percent(10), fees: percent(2),
        lot: Quantity(raw: lot), held: contracts(3))
    }
    #expect(try size(1) == Quantity(raw: 125_000_000))
    #expect(try size(10_000_000) == Quantity(raw: 130_000_000))
    #expect(
      try PartialLiquidation.size(
        shortage: money(10), price: price(100), marginRatio: percent(2), fees: percent(2),
        lot: Quantity(raw: 1), held: contracts(3)) == contracts(3), "fees eat what it frees")
    #expect(
      try PartialLiquidation.notionalMax(of: money(100), least: money(20), portion: percent(10))
        == money(20))
    #expect(
      try PartialLiquidation.notionalMax(of: money(1_000), least: money(20), portion: percent(10))
        == money(100))
    #expect(PartialLiquidation.isProgress(before: money(-5), after: money(-4)))
    #expect(!PartialLiquidation.isProgress(before: money(-5), after: money(-5)))
  }
}
