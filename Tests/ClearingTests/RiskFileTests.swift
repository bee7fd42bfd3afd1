import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

/// Margin from nothing but exported risk arrays, by the formulas of Protocol 9.11 and 10.6 written
/// down once more: whole numbers of 1e-8, and their products.
private struct OfflineMargin {
  struct Line {
    var isOption: Bool
    var expiry: String
    var scenarios: [Int128]
    var mark, lead, trail, short, basis, doubt: Int128
    var falls: Bool
  }

  var lines: [String: (underlying: String, line: Line)] = [:]
  var lambda: Int128 = 0
  static let one: Int128 = 1_000_000_000

  init(_ files: [JSONValue]) throws {
    for file in files {
      let underlying = try Self.text(file, "underlying")
      lambda = Self.units(try Self.text(try #require(file["method"]), "lambda"), digits: 9)
      guard case .array(let instruments)? = file["instruments"] else { continue }
      for entry in instruments {
        let name = try Self.text(entry, "instrument")
        guard case .array(let scenarios)? = entry["scenarios"],
          case .bool(let falls)? = entry["falls"]
        else { continue }
        func price(_ key: String) throws -> Int128 {
          Self.units(try Self.text(entry, key), digits: 8)
        }
        lines[name] = (
          underlying,
          Line(
            isOption: name.hasSuffix("-C") || name.hasSuffix("-P"),
            expiry: entry["expiry_ms"].map { "\($0)" } ?? "",
            scenarios: scenarios.map { value in
              guard case .string(let text) = value else { return 0 }
              return Self.units(text, digits: 8)
            }, mark: try price("mark"), lead: try price("delta_lead"),
            trail: try price("delta_trail"), short: try price("short"),
            basis: try price("basis"), doubt: try price("doubt"), falls: falls)
        )
      }
    }
  }

  private static func text(_ value: JSONValue, _ key: String) throws -> String {
    guard case .string(let text)? = value[key] else {
      throw JSONFailure.missing(key)
    }
    return text
  }

  private static func units(_ text: String, digits: Int) -> Int128 {
    let isNegative = text.hasPrefix("-")
    let parts = text.drop { $0 == "-" }.split(separator: ".", omittingEmptySubsequences: false)
    let fraction = parts.count > 1 ? String(parts[1]) : ""
    let padded = fraction + String(repeating: "0", count: digits - fraction.count)
    let value = Int128(parts[0] + padded) ?? 0
    return isNegative ? 0 - value : value
  }

  private static func up(_ amount: Int128, _ unit: Int128) -> Int128 {
    amount / unit + (amount % unit > 0 ? 1 : 0)
  }

  /// Initial margin in units of 1e-6.
  func initial(_ positions: [(name: String, quantity: Int128)]) throws -> Int128 {
    struct Book {
      var sums = [Int128](repeating: 0, count: 32)
      var rising: Int128 = 0, falling: Int128 = 0
      var owedRising: Int128 = 0, owedFalling: Int128 = 0
      var held: Int128 = 0, short: Int128 = 0
      var tilts: [String: Int128] = [:]
    }
    var books: [String: Book] = [:]
    var (owes, doubt) = (false, Int128(0))
    for (name, quantity) in positions {
      let (underlying, line) = try #require(lines[name], "\(name)")
      var book = books[underlying] ?? Book()
      let size = quantity < 0 ? 0 - quantity : quantity
      for scenario in 0..<32 { book.sums[scenario] += quantity * line.scenarios[scenario] }
      let leads = (quantity > 0) != line.falls
      let (rising, falling) =
        leads ? (size * line.lead, size * line.trail) : (size * line.trail, size * line.lead)
      book.rising += rising
      book.falling += falling
      if !line.isOption || quantity < 0 {
        owes = true
        book.owedRising += rising
        book.owedFalling += falling
        if quantity < 0 { book.short += size * line.short }
      } else {
        book.held += size * line.mark
      }
      book.tilts[line.expiry, default: 0] += quantity * line.basis
      doubt += size * line.doubt
      books[underlying] = book
    }
    var (apart, deltas, shorts, tilts, held) = (
      Int128(0), Int128(0), Int128(0), Int128(0), Int128(0)
    )
    var together = [Int128](repeating: 0, count: 32)
    for book in books.values {
      let scan = 0 - min(0, book.sums.min() ?? 0)
      let delta = min(
        max(0, book.rising, book.falling), max(0, book.owedRising, book.owedFalling) + book.held)
      apart += max(scan, delta, book.short)
      deltas += delta
      shorts += book.short
      held += book.held
      for sum in book.tilts.values { tilts += sum < 0 ? 0 - sum : sum }
      for scenario in 0..<32 { together[scenario] += book.sums[scenario] }
    }
    let joint = max(0, 0 - (together.min() ?? 0), deltas, shorts)
    var core = apart
    if lambda > 0 {
      core = Self.up(joint * lambda, Self.one) + Self.up(apart * (Self.one - lambda), Self.one)
    }
    core += tilts
    return Self.up((owes ? core : min(core, held)) + doubt, 10_000_000_000)
  }
}

@Suite("Anyone computes margin from the exported risk arrays") struct RiskFileTests {
  @Test("every account of a crash, to the unit", arguments: [771, 772, 773] as [UInt64])
  func accounts(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, method: seed == 773 ? .span16 : .novate32)
    var compared = 0
    for number in 0..<100 {
      let fault = try loop.step(number)
      #expect(fault == nil)
      guard number % 7 == 6 else { continue }
      var files: [JSONValue] = []
      for underlying in loop.genesis.underlyings.indices {
        let file = loop.clearing.riskFile(UnderlyingID(UInt16(underlying)))
        files.append(try JSONValue.parse(try #require(file).bytes()))
      }
      let unknown = loop.clearing.riskFile(UnderlyingID(UInt16(files.count)))
      #expect(unknown == nil)
      let offline = try OfflineMargin(files)
      for index in 0..<loop.clearing.accountCount {
        let account = AccountID(UInt32(index))
        guard let view = loop.clearing.view(account), !view.positions.isEmpty else { continue }
        let initial = try offline.initial(
          view.positions.map {
            ($0.instrument.label(underlyings: loop.genesis.underlyings), Int128($0.quantity.raw))
          })
        #expect(
          initial == Int128(view.margin.initial.raw), "seed \(seed), batch \(number), \(account)")
        compared += 1
      }
    }
    #expect(compared > 40, "seed \(seed): \(compared) accounts compared")
  }
}
