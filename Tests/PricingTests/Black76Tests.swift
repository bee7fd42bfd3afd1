import Pricing
import Primitives
import Testing

private let year = Timestamp.millisecondsPerYear

@Suite("Black-76")
struct Black76Tests {
  @Test("without time or volatility a price is the discounted payoff")
  func payoff() {
    let half = Discount(raw: 1 << 61)
    for (time, volatility) in [(0, 500_000_000), (year, 0)] as [(Int64, Int64)] {
      let price = Black76.price(
        .call, forward: Price(raw: 110), strike: Price(raw: 100),
        volatility: Ratio(raw: volatility),
        time: time, discount: half)
      #expect(price == Price(raw: 5))
      let put = Black76.price(
        .put, forward: Price(raw: 110), strike: Price(raw: 100), volatility: Ratio(raw: volatility),
        time: time, discount: half)
      #expect(put == .zero)
    }
  }

  @Test("beyond the bounds of the domain a price is the limit and nothing traps")
  func limits() {
    let extremes: [Int64] = [.min, -1, 0, 1, 100, 1 << 62, .max]
    for forward in extremes {
      for strike in extremes {
        for volatility in extremes {
          for time in extremes {
            for discount in [Discount.one, Discount(raw: .max), Discount(raw: 0)] {
              let price = Black76.price(
                .call, forward: Price(raw: forward), strike: Price(raw: strike),
                volatility: Ratio(raw: volatility), time: time, discount: discount)
              #expect(price >= .zero)
              _ = Black76.greeks(
                .put, forward: Price(raw: forward), strike: Price(raw: strike),
                volatility: Ratio(raw: volatility), time: time, discount: discount)
            }
          }
        }
      }
    }
  }

  @Test("an option thousands of times in the money is worth what it would pay")
  func farInTheMoney() {
    // Just below and above e^8 = 2 980.96, where ln(F/K) in Q60 leaves its word.
    for multiple in [2_047, 2_980, 2_981, 3_795, 4_095, 4_096, 8_000] as [Int64] {
      let (near, far) = (Price(raw: 3_216_847_715_745), Price(raw: 3_216_847_715_745 * multiple))
      for volatility in [500_000_000, 2_000_000_000] as [Int64] {
        let (sigma, time) = (Ratio(raw: volatility), Int64(312_726))
        let call = Black76.price(
          .call, forward: far, strike: near, volatility: sigma, time: time)
        let put = Black76.price(.put, forward: near, strike: far, volatility: sigma, time: time)
        #expect(call.raw == far.raw - near.raw)
        #expect(put.raw == far.raw - near.raw)
        #expect(
          Black76.greeks(.call, forward: far, strike: near, volatility: sigma, time: time).price
            == call)
      }
    }
  }

  @Test("discount factors are exact at zero and bounded elsewhere")
  func discounts() {
    #expect(Discount(rate: .zero, time: year) == .one)
    // exp(-0.05), exp(0.3·0.5) and exp(-20), 50-digit values rounded to Q62.
    for (rate, time, expected) in [
      (50_000_000, year, 4386771437286673377), (-300_000_000, year / 2, 5358014732920195352),
      (2_000_000_000, 10 * year, 9505393342),
    ] as [(Int64, Int64, UInt64)] {
      let found = Discount(rate: Ratio(raw: rate), time: time).raw
      #expect(max(found, expected) - min(found, expected) <= 16)
    }
    #expect(Discount(rate: Ratio(raw: .max), time: year).raw == 0)
    #expect(Discount(rate: Ratio(raw: .min), time: year).raw == 1 << 63)
  }
}
