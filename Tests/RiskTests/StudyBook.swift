/// The market of the study: an outside price, and what forced sales do to it (quant.md 5.2).
///
/// For good, by λ·√(all sold ÷ ADV): of the sum, so that a sale in parts moves as much as the whole.
/// And for a while, by what stands eaten of the book, which refills by half each step; a sale pays
/// the mean of the book before and after it.
struct StudyBook {
  /// Published parameters.
  struct Terms {
    /// λ in millionths: the lasting impact of selling a day's volume, about a day's deviation.
    var lasting: Int64 = 50_000
    /// Daily volume over all open notional.
    var volumePerNotional: Int64 = 1
    /// Share of the daily volume that eats 1 % of price, millionths: a quarter of a percent.
    var depth: Int64 = 2_500
  }

  private let terms: Terms
  private var outside: Int64
  private let volume: Int128
  /// Notional sold by force since the start, and what of it the book has not refilled.
  private var sold: Int128 = 0
  private var eaten: Int128 = 0

  init(_ terms: Terms, start: Int64, open: Int128) {
    self.terms = terms
    outside = start
    volume = max(1, open * Int128(terms.volumePerNotional))
  }

  mutating func step(to price: Int64) {
    outside = price
    eaten /= 2
  }

  /// What everybody is marked at.
  var price: Int64 { price(sold: sold, eaten: eaten) }

  /// Sells contracts and says what was got, rounded down.
  mutating func sell(_ size: Int64) -> Int64 {
    guard size > 0 else { return 0 }
    let notional = Int128(CascadeStudy.value(size, price))
    let before = Int128(price)
    sold += notional
    eaten += notional
    return CascadeStudy.value(size, Int64((before + Int128(price)) / 2))
  }

  /// outside × (1 − lasting impact) × (1 − slip), each impact at most a half.
  private func price(sold: Int128, eaten: Int128) -> Int64 {
    guard terms.lasting > 0 else { return outside }
    // √ in millionths.
    let root = StudyBook.root(sold * 1_000_000_000_000 / volume)
    let level = min(500_000, Int128(terms.lasting) * root / 1_000_000)
    let slip = min(
      500_000, eaten * 10_000 * 1_000_000 / max(1, volume * Int128(terms.depth)))
    let price =
      Int128(outside) * (1_000_000 - level) * (1_000_000 - slip) / 1_000_000_000_000
    return max(1, Int64(price))
  }

  /// ⌊√value⌋ by halving.
  private static func root(_ value: Int128) -> Int128 {
    var (low, high) = (Int128(0), Int128(1) << 62)
    while low < high {
      let middle = (low + high + 1) / 2
      if middle * middle <= value { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
