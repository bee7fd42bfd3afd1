import Commitments
import Foundation
import Instruments
import Margin
import Pricing
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// A range file of a run, without signatures and checkpoints: all that a replay needs.
private func rangeFile(
  _ genesis: Genesis, _ batches: [(header: ExecutionHeader, body: [UInt8])],
  _ clearances: [ClearingResult]
) -> [UInt8] {
  var (first, second) = (ByteWriter(), ByteWriter())
  for (header, body) in batches {
    ObjectList.append(
      SignedBatch(header: header, signature: .zero, body: body).encoded, to: &first)
  }
  for result in clearances {
    ObjectList.append(
      SignedClearance(header: result.header, signature: .zero, body: result.bodyBytes).encoded,
      to: &second)
  }
  return BundleFile.encoded(
    BundleFile.Manifest(
      kind: .range, network: genesis.networkID, first: BatchNumber(0),
      last: BatchNumber(UInt64(batches.count - 1))),
    [(.genesis, genesis.encoded), (.batches, first.bytes), (.clearances, second.bytes)])
}

/// `Tests/Independent` is a verifier in Python, written from Docs/Protocol.md alone. Where it and
/// the machines disagree, the page or the machines are wrong.
@Suite("A second reader of the protocol") struct SecondReaderTests {
  /// Exit code and output of the second verifier; nil where there is no Python.
  func verdict(_ file: [UInt8], _ name: String = "replay.py", _ more: [String] = []) throws
    -> (code: Int32, text: String)?
  {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "second-reader-\(UUID().uuidString).nvb")
    try Data(file).write(to: path)
    // What it disagrees with stays, for whoever looks into it.
    var agrees = false
    defer { if agrees { try? FileManager.default.removeItem(at: path) } }
    let script = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Independent/\(name)")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-B", script.path, path.path] + more
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    // What `env` says where there is no such program.
    if process.terminationStatus == 127 {
      print("skipped: there is no python3 here")
      return nil
    }
    agrees = process.terminationStatus == 0
    return (process.terminationStatus, text)
  }

  @Test(
    "it finds every root, event and body of random days the same",
    arguments: [601, 618, 638, 659] as [UInt64])
  func medley(seed: UInt64) throws {
    var medley = Medley(seed: seed)
    for number in 0..<150 { try medley.step(number) }
    for kind in ActionKind.allCases {
      #expect(medley.accepted[Int(kind.rawValue)] > 0, "seed \(seed): no \(kind) was accepted")
    }
    var triggered = [0, 0, 0]
    var auctioned = 0
    for (_, bytes) in medley.batches {
      let body = try BatchBody(bytes)
      for index in 0..<body.eventCount where body.eventKind(index) == .triggered {
        triggered[Int(body.event(index, as: Triggered.self).statusCode)] += 1
      }
      for index in 0..<body.eventCount where body.eventKind(index) == .fill {
        let fill = body.event(index, as: Fill.self)
        auctioned += fill.causeCode == FillCause.auction.rawValue ? 1 : 0
      }
    }
    #expect(triggered.allSatisfy { $0 > 0 }, "seed \(seed): \(triggered) triggered")
    #expect(auctioned > 0, "seed \(seed): nothing traded in an auction")
    let codes = medley.results.flatMap { House.receipts($0) }
      .filter { $0.kind == .ownerTransfer }.map(\.code)
    for code in [.done, .marginShort, .ownersDebt] as [ReceiptCode] {
      #expect(codes.contains(code.rawValue), "seed \(seed): no transfer with code \(code)")
    }
    let file = rangeFile(medley.genesis, medley.batches, medley.results)
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test(
    "it finds what span-16 asks the same, from genesis and where one method follows another",
    arguments: [
      (901, .span16), (902, .span16), (903, .both), (904, .both), (905, .both),
    ] as [(UInt64, Medley.Methods)])
  func methods(seed: UInt64, methods: Medley.Methods) throws {
    var medley = Medley(seed: seed, sized: seed == 905, methods: methods)
    var (turns, last) = (0, medley.genesis.margin.methodCode)
    for number in 0..<150 {
      try medley.step(number)
      for terms in medley.results[number].body.margin {
        turns += terms.methodCode == last ? 0 : 1
        last = terms.methodCode
      }
    }
    let adopted = medley.results.flatMap(\.body.margin)
    #expect(adopted.count > 1, "seed \(seed): \(adopted.count) terms in force")
    #expect((turns > 1) == (methods == .both), "seed \(seed): \(turns) changes of method")
    let file = rangeFile(medley.genesis, medley.batches, medley.results)
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test(
    "it finds closes, auctions and collateral of a crash under span-16 the same",
    arguments: [(911, false), (912, true), (913, true)] as [(UInt64, Bool)])
  func spanCrash(seed: UInt64, auctions: Bool) throws {
    var loop = Loop(
      seed: seed, crashes: true, auctions: auctions, collateral: auctions, method: .span16)
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    let (closes, held) = (loop.closes, loop.auctions)
    #expect(auctions ? held > 0 : closes > 0, "seed \(seed): \(closes) closes, \(held) auctions")
    let file = rangeFile(
      loop.genesis, loop.record.map { ($0.header, $0.body) }, loop.record.map(\.result))
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test("it finds the funding of hours the same", arguments: [705, 613, 614] as [UInt64])
  func funding(seed: UInt64) throws {
    var medley = Medley(seed: seed, pace: 40)
    for number in 0..<160 { try medley.step(number) }
    let bookings = medley.results.flatMap { House.receipts($0) }.count { $0.kind == .funding }
    #expect(bookings > 20, "seed \(seed): \(bookings) bookings")
    let file = rangeFile(medley.genesis, medley.batches, medley.results)
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test("it finds what size costs the same", arguments: [821, 822, 823] as [UInt64])
  func sizes(seed: UInt64) throws {
    var medley = Medley(seed: seed, sized: true)
    var (charged, refused) = (0, 0)
    for number in 0..<120 {
      try medley.step(number)
      for index in 0..<medley.clearing.accountCount {
        let charge = medley.clearing.sizeCharge(AccountID(UInt32(index)))
        charged += charge > 0 ? 1 : 0
      }
      refused += House.receipts(medley.results[number])
        .count { $0.code == ReceiptCode.marginShort.rawValue && $0.kind != .bid }
    }
    #expect(charged > 50 && refused > 0, "seed \(seed): \(charged) charges, \(refused) refusals")
    let file = rangeFile(medley.genesis, medley.batches, medley.results)
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test("it finds the closes and debts of a crash the same", arguments: [401, 402] as [UInt64])
  func crash(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true)
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    #expect(loop.closes > 0 && loop.restrictions > 0, "seed \(seed)")
    let file = rangeFile(
      loop.genesis, loop.record.map { ($0.header, $0.body) }, loop.record.map(\.result))
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test(
    "it finds collateral, its sale and interest the same", arguments: [771, 772, 773] as [UInt64])
  func collateral(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, auctions: true, collateral: true)
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    let (sales, interests) = (loop.collateralSales, loop.interests)
    #expect(sales > 0 && interests > 0, "seed \(seed): \(sales) sales, \(interests) bookings")
    let file = rangeFile(
      loop.genesis, loop.record.map { ($0.header, $0.body) }, loop.record.map(\.result))
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test("it reads the state that a later range begins from, and the log goes on")
  func later() throws {
    var loop = Loop(seed: 741, crashes: true, auctions: true)
    var replay = Replay(genesis: loop.genesis)
    var log = MerkleLog()
    let first = 70
    for number in 0..<90 {
      let fault = try loop.step(number)
      #expect(fault == nil)
      let batch = loop.record[number]
      log.append(leafHash: batch.cleared.logLeaf)
      guard number < first else { continue }
      try replay.apply(
        SignedBatch(header: batch.header, signature: .zero, body: batch.body),
        SignedClearance(
          header: batch.cleared, signature: .zero, body: batch.result.bodyBytes))
    }
    let held = loop.clearing.accountCount
    #expect(loop.auctions > 0 && held > 8, "a state with every pool in use")
    var note = Checkpoint(
      origin: loop.genesis.settlementNote.name, size: 90, root: log.root
    ).note
    note.sign(
      with: TestWorld.key(4),
      as: try NoteVerifier(
        name: loop.genesis.settlementNote.name, key: TestWorld.key(4).publicKey))
    let later = loop.record[first...]
    func file(_ state: [UInt8]) -> [UInt8] {
      BundleFileBuilder.range(
        genesis: loop.genesis, preState: state,
        batches: later.map { SignedBatch(header: $0.header, signature: .zero, body: $0.body) },
        clearances: later.map {
          SignedClearance(header: $0.cleared, signature: .zero, body: $0.result.bodyBytes)
        }, checkpoints: [note])
    }
    let state = replay.preState()
    guard let (code, text) = try verdict(file(state), "verify.py") else { return }
    #expect(code == 0, "\(text)")
    var other = state
    other[other.count - 800] ^= 1
    #expect(try verdict(file(other), "verify.py")?.code == 1)
  }

  @Test("it finds the auctions of a crash the same", arguments: [741, 742, 743] as [UInt64])
  func auctions(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, auctions: true)
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    #expect(loop.auctions > 0 && loop.sales > 0, "seed \(seed)")
    let file = rangeFile(
      loop.genesis, loop.record.map { ($0.header, $0.body) }, loop.record.map(\.result))
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  @Test(
    "it finds hedges that close with what they hedged the same",
    arguments: [782, 784, 786] as [UInt64])
  func hedges(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, auctions: true, hedges: true)
    for number in 0..<150 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    let (taken, hedges) = (loop.deleveragings, loop.hedges)
    let (tranched, tranches) = (loop.tranched, loop.tranches)
    #expect(tranched > 0 && tranches > 0, "seed \(seed): tranches \(tranched) in, \(tranches) out")
    let (recoveries, repayments, ended) = (loop.recoveries, loop.repayments, loop.ended)
    #expect(
      recoveries > 0 && repayments > 0 && ended > 0,
      "seed \(seed): \(recoveries) recoveries, \(repayments) repayments, \(ended) epochs closed")
    #expect(taken > 0 && hedges > 0, "seed \(seed): \(taken) closed, \(hedges) hedges with them")
    let file = rangeFile(
      loop.genesis, loop.record.map { ($0.header, $0.body) }, loop.record.map(\.result))
    guard let (code, text) = try verdict(file) else { return }
    #expect(code == 0, "seed \(seed): \(text)")
  }

  /// An option anywhere in the domain, now and then in a market's middle.
  private static func option(_ random: inout Generator) -> (ExpirySlice, Instrument) {
    func logarithmic(_ bits: Int) -> Int64 {
      Int64(bitPattern: random.next() >> UInt64(64 - bits + random.below(bits))) + 1
    }
    let isOrdinary = random.chance(60)
    let forward = isOrdinary ? random.within(10_000_000...9_000_000_000_000) : logarithmic(56)
    let strike =
      isOrdinary
      ? max(1, forward / 100 * random.within(20...400) + random.within(-50...50)) : logarithmic(56)
    let time = random.chance(5) ? 0 : logarithmic(39)
    let one: Int64 = 1_000_000_000_000
    let rho = random.within(-one + 1...one - 1)
    let slope = random.chance(10) ? 0 : logarithmic(40) * 19 / 11
    let steepest = Int64(2 * Int128(one) * Int128(one) / Int128(one + abs(rho)))
    let surface = SurfaceSlice(
      a: random.chance(70) ? logarithmic(39) : -logarithmic(41), b: min(slope, steepest), rho: rho,
      m: random.within(-one...one) * (random.chance(20) ? 4 : 1) / 3,
      sigma: min(4 * one, 1_000_000 + logarithmic(42)))
    var instrument = TestWorld.instruments()[random.chance(50) ? 2 : 3]
    instrument.id = InstrumentID(0)
    instrument.strike = Price(raw: strike)
    instrument.expiry = Timestamp(raw: time)
    let slice = ExpirySlice(
      expiry: instrument.expiry, forward: Price(raw: forward), surface: surface, time: .zero)
    return (slice, instrument)
  }

  @Test(
    "it prices options anywhere in the domain the same, to the last unit",
    arguments: ["novate-32", "span-16"])
  func marks(method: String) throws {
    var random = Generator(seed: 605)
    var table = RiskTable(method == "span-16" ? .span16 : .novate32)
    var text = ""
    for _ in 0..<3_000 {
      let (slice, instrument) = Self.option(&random)
      var market = UnderlyingMarket(index: slice.forward, time: .zero)
      market.slices = [slice]
      table.update(instrument, market: market)
      let isPriced = table.isPriced(instrument.id)
      try #require(isPriced)
      let surface = slice.surface
      var words = [
        instrument.isCall ? 1 : 0, instrument.strike.raw, instrument.expiry.raw, slice.forward.raw,
        surface.a, surface.b, surface.rho, surface.m, surface.sigma,
        table.mark(instrument.id).raw,
      ]
      for scenario in 0..<ScenarioSet.count {
        words.append(table.unit(instrument.id, scenario).raw)
      }
      text += words.map { "\($0)" }.joined(separator: " ") + "\n"
    }
    guard let (code, said) = try verdict(Array(text.utf8), "marks.py", [method]) else { return }
    #expect(code == 0, "\(said)")
  }

  @Test("it refuses a fill of another price, a credit out of thin air and a root made up")
  func lies() throws {
    var medley = Medley(seed: 604)
    for number in 0..<12 { try medley.step(number) }
    let honest = rangeFile(medley.genesis, medley.batches, medley.results)
    guard let (found, text) = try verdict(honest) else { return }
    #expect(found == 0, "\(text)")
    func code(
      _ change: (inout [(header: ExecutionHeader, body: [UInt8])], inout [ClearingResult]) -> Void
    )
      throws -> Int32
    {
      var (batches, results) = (medley.batches, medley.results)
      change(&batches, &results)
      return try verdict(rangeFile(medley.genesis, batches, results))?.code ?? 1
    }
    #expect(try code { batches, _ in batches[7].header.postRoot = .zero } == 1)
    #expect(try code { _, results in results[7].header.postRoot = .zero } == 1)
    #expect(try code { _, results in results[7].header.receiptsRoot = .zero } == 1)
    let paid = try #require(medley.results.lastIndex { !$0.body.accounts.isEmpty })
    #expect(
      try code { _, results in
        results[paid].body.accounts[0].cash = Money(raw: 1 << 40)
        results[paid].bodyBytes = results[paid].body.encoded
        results[paid].header.bodyHash = SHA256.digest(results[paid].bodyBytes)
      } == 1)
  }
}
