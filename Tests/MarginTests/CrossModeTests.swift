import Instruments
import Pricing
import Primitives
import Testing

@testable import Margin

/// Cross mode: nothing nets, so a book asks what its contracts ask one by one.
@Suite("Margin where nothing nets") struct CrossModeTests {
  static let seeds: [UInt64] = [91, 92, 93, 94]

  private func sheet(_ shelf: borrowing Shelf, _ legs: [Shelf.Leg], apart: Bool) -> MarginSheet {
    var sheet = MarginSheet(underlyings: 1)
    sheet.clear(apart: apart)
    for leg in legs { sheet.add(leg.instrument, leg.quantity, 0, shelf.table) }
    return sheet
  }

  /// Legs of different contracts.
  private func legs(_ shelf: borrowing Shelf, _ generator: inout Generator) -> [Shelf.Leg] {
    var legs: [Shelf.Leg] = []
    for leg in shelf.legs(1 + generator.below(8), &generator)
    where leg.quantity.raw != 0 && !legs.contains(where: { $0.instrument == leg.instrument }) {
      legs.append(leg)
    }
    return legs.sorted { $0.instrument < $1.instrument }
  }

  @Test("a book asks what its contracts ask one by one", arguments: seeds)
  func sumOfParts(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    var dearer = 0
    for _ in 0..<200 {
      let legs = legs(shelf, &generator)
      let apart = sheet(shelf, legs, apart: true).requirement(lambda: Ratio(raw: Ratio.scale))
      let netted = sheet(shelf, legs, apart: false).requirement(lambda: .zero)
      let alone = legs.map { sheet(shelf, [$0], apart: false).requirement(lambda: .zero) }
      #expect(apart.initial == alone.reduce(0) { $0 + $1.initial }, "seed \(seed): \(legs)")
      #expect(apart.core == alone.reduce(0) { $0 + $1.core }, "seed \(seed): \(legs)")
      dearer += apart.initial > netted.initial ? 1 : 0
    }
    #expect(dearer > 100, "seed \(seed): \(dearer) dearer")
  }

  @Test("the contract that loses most binds, the first of equals", arguments: seeds)
  func binding(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    for _ in 0..<100 {
      let legs = legs(shelf, &generator)
      let sheet = sheet(shelf, legs, apart: true)
      let losses = legs.map { shelf.scan([$0]) }
      let heaviest = losses.max() ?? 0
      let binding = sheet.requirement(lambda: .zero).binding
      guard heaviest > 0, let place = losses.firstIndex(of: heaviest) else {
        #expect(binding == nil)
        continue
      }
      let page = sheet.page(of: legs[place].instrument, UnderlyingID(0))
      #expect(binding?.page == page && sheet.scan(page) == heaviest, "seed \(seed): \(legs)")
      for leg in legs {
        let own = sheet.page(of: leg.instrument, UnderlyingID(0))
        let half = Quantity(raw: leg.quantity.raw / 2)
        let rest = Quantity(raw: leg.quantity.raw - half.raw)
        #expect(
          sheet.scan(own, less: half, of: leg.instrument, shelf.table)
            == shelf.scan([(leg.instrument, rest)]))
      }
    }
  }

  @Test("a sheet used for one mode after the other remembers nothing", arguments: seeds)
  func reuse(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    var used = MarginSheet(underlyings: 1)
    for _ in 0..<200 {
      let (legs, apart) = (legs(shelf, &generator), generator.below(2) == 0)
      used.clear(apart: apart)
      for leg in legs { used.add(leg.instrument, leg.quantity, 0, shelf.table) }
      let fresh = sheet(shelf, legs, apart: apart).requirement(lambda: .zero)
      let again = used.requirement(lambda: .zero)
      #expect(again.initial == fresh.initial && again.core == fresh.core, "seed \(seed)")
      #expect(again.binding == fresh.binding && again.scan == fresh.scan, "seed \(seed)")
    }
  }
}
