import Client
import Glibc
import Testing

@testable import CLI

@Suite("a storm through three processes", .serialized)
struct StormTests {
  @Test(
    "the processes settle the roots that the machines give, and the file verifies",
    arguments: StormMethod.allCases)
  func processes(method: StormMethod) throws {
    let folder = "/tmp/novate-storm-\(method.rawValue)-\(getpid())"
    defer { _ = try? Command.run("/bin/rm", ["-rf", folder]) }
    try Files.makeFolder(folder)
    let path = StormPath(step: -128_000, StormParameters(), calm: 12)
    let run = StormRun(path: path, seed: 4, method: method)
    let looped = try run.played()
    let (outcome, isVerified) = try ProcessStage.played(
      run, folder: folder, programs: TestNetwork.programs)
    #expect(isVerified && outcome == looped && outcome.imbalance == 0)
    #expect(outcome.forced > 0 && outcome.batches > 60)
  }
}
