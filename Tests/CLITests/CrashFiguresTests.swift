import Instruments
import Primitives
import Testing

@testable import CLI

@Suite("Crash figures") struct CrashFiguresTests {
  @Test("every live slice is a smile, and every dead one is none")
  func slices() {
    for underlying in CrashFigures.underlyings.indices {
      for snapshot in CrashFigures.snapshots.indices {
        let index = CrashFigures.index(underlying: underlying, snapshot: snapshot)
        for (expiry, time) in CrashFigures.expiries.enumerated() {
          let slice = CrashFigures.slice(
            underlying: underlying, snapshot: snapshot, expiry: expiry)
          #expect((slice != nil) == (CrashFigures.snapshots[snapshot] < time))
          guard let slice else { continue }
          #expect(abs(slice.forward.raw - index.raw) < index.raw / 50)
          #expect(slice.b > 0 && abs(slice.rho) < 1_000_000_000_000)
          #expect(slice.sigma >= 5_000_000_000)
        }
      }
    }
  }

  @Test("times rise, names agree with times, shares fill the whole")
  func chains() throws {
    #expect(CrashFigures.snapshots == CrashFigures.snapshots.sorted())
    for (underlying, name) in CrashFigures.underlyings.enumerated() {
      var share: Int64 = 0
      for (expiry, text) in CrashFigures.expiryNames.enumerated() {
        let time = Timestamp(
          raw: CrashFigures.firstSnapshot.raw + CrashFigures.expiries[expiry])
        #expect(try InstrumentName("\(name)-\(text)").form == .future(expiry: time))
        let strikes = CrashFigures.strikes(underlying: underlying, expiry: expiry)
        #expect((8...12).contains(strikes.count))
        #expect(strikes.map(\.price) == strikes.map(\.price).sorted())
        let volume = strikes.map { $0.callVolume + $0.putVolume }.reduce(0, +)
        let interest = strikes.map { $0.callInterest + $0.putInterest }.reduce(0, +)
        #expect(abs(volume - 10_000) <= 12 && abs(interest - 10_000) <= 12)
        let spread = CrashFigures.spread(underlying: underlying, expiry: expiry)
        #expect(spread.base > .zero && spread.slope > .zero)
        share += CrashFigures.volumeShare(underlying: underlying, expiry: expiry)
      }
      #expect(abs(share - 10_000) <= 3)
    }
  }
}
