import CReference
import Pricing
import Primitives

/// One drawn option, in the ledger's integers and in doubles.
struct PricingRow {
  let forward: Price
  let strike: Price
  let vol: Ratio
  let time: Int64
  let f: Double
  let k: Double
  let v: Double
  let t: Double
  let barrier: Price
  let h: Double
  let market: Market
  let discount: Double
  let growth: Double
  let type: OptionType

  var isCall: Int32 { type == .call ? 1 : 0 }

  private static func exponential(_ rate: Double, _ time: Int64) -> Double {
    reference_exponential(rate * Double(time) / 31_536_000_000)
  }

  static func random(count: Int, seed: UInt64) -> [PricingRow] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ range: ClosedRange<Int64>) -> Int64 {
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      let word = state &* 0x2545_F491_4F6C_DD1D
      let span = UInt64(range.upperBound - range.lowerBound) + 1
      return range.lowerBound + Int64(word.multipliedFullWidth(by: span).high)
    }
    return (0..<count).map { index in
      let forward = Price(raw: next(5_000_000_000_000...12_000_000_000_000))
      let strike = Price(raw: next(5_000_000_000_000...12_000_000_000_000))
      let vol = Ratio(raw: next(200_000_000...1_200_000_000))
      let time = next(86_400_000...31_536_000_000)
      let barrier = Price(raw: forward.raw / 100 * next(70...98))
      do throws(PricingFailure) {
        let market = try Market(
          spot: forward, rate: Ratio(raw: 40_000_000), yield: Ratio(raw: 10_000_000),
          volatility: vol, time: time)
        return PricingRow(
          forward: forward, strike: strike, vol: vol, time: time, f: Double(forward.raw) * 1e-8,
          k: Double(strike.raw) * 1e-8, v: Double(vol.raw) * 1e-9,
          t: Double(time) / 31_536_000_000, barrier: barrier, h: Double(barrier.raw) * 1e-8,
          market: market, discount: exponential(-0.04, time), growth: exponential(-0.01, time),
          type: index % 2 == 0 ? .call : .put)
      } catch {
        preconditionFailure("the benchmark's rows lie inside the domain")
      }
    }
  }
}
