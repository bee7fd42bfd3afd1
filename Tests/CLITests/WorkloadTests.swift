import Primitives
import Testing
import Wire
import Workloads

@testable import CLI

@Suite("Workload NP-1") struct WorkloadTests {
  @Test("every operation is packed once, in its maker's order", arguments: [1, 7, 64])
  func packing(size: Int) {
    let stream = NM1(count: 10_000).operations
    let turns = NP1.turns(stream, in: 100..<10_000, size: size)
    #expect(turns.flatMap(\.operations).sorted() == Array(100..<10_000))
    var left = Array(repeating: 0, count: NP1.makerCount)
    for place in 100..<10_000 { left[NP1.maker(of: stream[place])] += 1 }
    var last = Array(repeating: -1, count: NP1.makerCount)
    for turn in turns {
      #expect(turn.operations.count == min(size, left[turn.maker]))
      left[turn.maker] -= turn.operations.count
      for place in turn.operations {
        #expect(NP1.maker(of: stream[place]) == turn.maker && place > last[turn.maker])
        last[turn.maker] = place
      }
    }
    // Turns come by the earliest operation not yet sent.
    let firsts = turns.map { $0.operations[0] }
    #expect(firsts == firsts.sorted())
  }

  @Test("the whole machine trades NM-1 to its published fold")
  func wholeMachine() throws {
    let figures = try MatchingHouse.measured(NM1(count: 10_000), rounds: 1)
    #expect(figures.isExact, "fold \(figures.fold), \(figures.rejections) rejections")
  }

  @Test("a cancel belongs to the maker of the order it cancels")
  func owners() {
    let stream = NM1(count: 10_000).operations
    for operation in stream where operation.kind == 1 {
      let placed = stream[Int(operation.id) - 1]
      #expect(placed.kind == 0 && NP1.maker(of: operation) == NP1.maker(of: placed))
      #expect(
        NP1.action(operation, on: InstrumentID(0))
          == .cancelClient(instrument: InstrumentID(0), clientID: placed.id))
    }
  }

  @Test("percentiles are taken from the sorted values")
  func percentiles() {
    let figures = Percentile((1...100).reversed().map(Double.init))
    #expect(figures.p50 == 51 && figures.p99 == 100 && figures.count == 100)
    #expect(Percentile([]).p50 == 0)
  }

  @Test("processor time rises by what is spent")
  func processorTime() {
    let before = ProcessorTime.ofThread
    _ = NM1(count: 1_000)
    #expect(ProcessorTime.ofThread > before)
    #expect(ProcessorTime.ofProcess >= ProcessorTime.ofThread)
  }
}
