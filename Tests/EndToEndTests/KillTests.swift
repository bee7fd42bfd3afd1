import Client
import Commitments
import Glibc
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("kill -9 at each commit step", .serialized, .enabled(if: hasFaults))
struct KillTests {
  struct Step: Sendable, CustomTestStringConvertible {
    let layer: String
    let fault: String
    var testDescription: String { "\(layer) at \(fault)" }
  }

  static let commits = [
    "commit.before@6", "commit.after@1", "commit.after@6", "commit.permitted@1",
    "commit.permitted@6", "commit.published@6", "page.shared@1", "page.shared@4",
  ]
  static let steps =
    [
      "journal.appended@1", "journal.appended@7", "journal.synced@7", "journal.signed@1",
      "journal.signed@7", "journal.answered@7",
    ].map { Step(layer: "execution", fault: $0) }
    + RecoveryNetwork.names.flatMap { layer in commits.map { Step(layer: layer, fault: $0) } }

  @Test("no acknowledged order is lost, each stands once, and no number gets two contents")
  func everyStep() throws {
    let network = try RecoveryNetwork("steps")
    try network.startAll()
    try network.base.fund(try network.base.connect("execution"))
    var number = 0
    for step in Self.steps {
      network.kill(step.layer)
      try network.start(step.layer, fault: step.fault)
      var open: Bundle?
      var connection: BlockingConnection?
      for _ in 0..<10_000 {
        if try network.isDead(step.layer) { break }
        do {
          let bundle = open ?? network.order(number)
          if open == nil { number += 1 }
          open = bundle
          let current = try connection ?? network.base.connect("execution")
          connection = current
          try network.submit(bundle, current)
          open = nil
          usleep(1_000)
        } catch {
          // Execution died in the middle of it; whoever is not answered asks again.
          connection = nil
          usleep(5_000)
        }
      }
      try #require(try network.isDead(step.layer), "\(step) was not reached")
      network.kill(step.layer)
      try network.start(step.layer)
      if let open {
        // Sequenced once, now or before the crash; the answer is the same either way.
        let again = try network.base.connect("execution")
        let first = try #require(try network.submit(open, again).accepted.first, "\(step)").leaf
        let second = try #require(try network.submit(open, again).accepted.first, "\(step)").leaf
        #expect(first == second, "\(step)")
      }
    }
    try network.check("steps")
    try network.stopAll()
  }
}
