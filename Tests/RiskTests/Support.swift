import Primitives

/// SplitMix64 (Steele, Lea, Flood 2014): ours, so that a seed means the same for ever.
struct Generator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
  }

  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
    var elements = elements
    for place in elements.indices.dropFirst().reversed() {
      elements.swapAt(place, below(place + 1))
    }
    return elements
  }
}

/// Written as people write them: whole and millionth quote units, percent.
func money(_ whole: Int64, _ millionths: Int64 = 0) -> Money {
  Money(raw: whole * Money.scale + millionths)
}
func price(_ whole: Int64) -> Price { Price(raw: whole * Price.scale) }
func contracts(_ whole: Int64) -> Quantity { Quantity(raw: whole * Quantity.scale) }
func percent(_ count: Int64) -> Ratio { Ratio(raw: count * 10_000_000) }
