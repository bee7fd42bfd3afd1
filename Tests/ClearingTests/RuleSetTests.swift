import Commitments
import Primitives
import Testing
import Wire

@testable import Pricing

@Suite("The rule set") struct RuleSetTests {
  @Test("its manifest names the pricing kernel's tables as they are")
  func tables() {
    var out = ByteWriter(capacity: 1 << 15)
    for place in logarithmCells.indices { out.write(logarithmCells[place]) }
    for place in logarithmSeries.indices { out.write(logarithmSeries[place]) }
    for place in quickLogarithmSeries.indices { out.write(quickLogarithmSeries[place]) }
    for place in exponentialCells.indices { out.write(exponentialCells[place]) }
    for place in exponentialSeries.indices { out.write(exponentialSeries[place]) }
    for place in rootCells.indices { out.write(rootCells[place]) }
    for place in tailCells.indices { out.write(tailCells[place]) }
    for place in ln2Differences.indices { out.write(ln2Differences[place]) }
    for place in ln2Multiples.indices { out.write(ln2Multiples[place]) }
    for word in [ln2Q63, inverseLn2Q56, ln2StepQ68, ln2StepRest] { out.write(word) }
    for word in [deviationQ15, deviationInverseQ111] { out.write(word) }
    #expect(out.bytes.count == 4_270 * 8)
    #expect(RuleSet.manifest.hasSuffix("\npricing-tables \(SHA256.digest(out.bytes))\n"))
  }

  @Test("its id is the hash of its manifest under its own tag")
  func id() {
    var out = ByteWriter()
    out.write(Array("novate/stf/1".utf8))
    out.pad(32 - out.bytes.count + 32)
    out.write(Array(RuleSet.manifest.utf8))
    #expect(RuleSet.current == SHA256.digest(out.bytes))
  }
}
