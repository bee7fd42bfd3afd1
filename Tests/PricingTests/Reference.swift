import Foundation
import Pricing
import Primitives

/// One row of a reference file: `name inputs = results`.
struct Reference {
  let kind: String
  let inputs: [String]
  /// In units of 1e-18, to nearest; nil where the file says `-`.
  let results: [Int128?]

  static let scale: Int128 = 1_000_000_000_000_000_000

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()

  static func rows(_ file: String) throws -> [Reference] {
    let url = folder.appendingPathComponent("Fixtures/Pricing/\(file)")
    return rows(text: try String(contentsOf: url, encoding: .utf8))
  }

  static func rows(text: String) -> [Reference] {
    text.split(separator: "\n")
      .filter { !$0.hasPrefix("#") }
      .map { line in
        let halves = line.split(separator: "=")
        let left = halves[0].split(separator: " ").map(String.init)
        return Reference(
          kind: left[0], inputs: Array(left.dropFirst()),
          results: halves[1].split(separator: " ").map { decimal(String($0)) })
      }
  }

  /// A plain or scientific decimal in 1e-18, rounded half up.
  static func decimal(_ text: String) -> Int128? {
    if text == "-" { return nil }
    var body = text[...]
    let isNegative = body.first == "-"
    if isNegative { body = body.dropFirst() }
    var exponent = 18
    if let mark = body.firstIndex(where: { $0 == "e" || $0 == "E" }) {
      exponent += Int(body[body.index(after: mark)...].replacing("+", with: ""))!
      body = body[..<mark]
    }
    var digits: [Int128] = []
    var isFraction = false
    for character in body {
      if character == "." {
        isFraction = true
        continue
      }
      digits.append(Int128(character.wholeNumberValue!))
      if isFraction { exponent -= 1 }
    }
    while exponent < 0 {
      exponent += 1
      guard exponent == 0 else {
        _ = digits.popLast()
        continue
      }
      let last = digits.popLast() ?? 0
      let value = digits.reduce(Int128(0)) { $0 * 10 + $1 } + (last >= 5 ? 1 : 0)
      return isNegative ? -value : value
    }
    var value = digits.reduce(Int128(0)) { $0 * 10 + $1 }
    for _ in 0..<exponent { value *= 10 }
    return isNegative ? -value : value
  }

  func integer(_ index: Int) -> Int64 { Int64(inputs[index])! }
  func price(_ index: Int) -> Price { Price(raw: integer(index)) }
  func ratio(_ index: Int) -> Ratio { Ratio(raw: integer(index)) }
  func type(_ index: Int) -> OptionType { inputs[index] == "1" ? .call : .put }
}

extension Real {
  /// In 1e-18.
  var units: Int128 { scaled(digits: 18) ?? .max }
}

/// python3 with mpmath, where they are installed.
enum Python {
  /// What the script prints, or nil when it fails or python3 is not there.
  static func output(_ arguments: [String]) throws -> String? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    process.standardError = FileHandle.nullDevice
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
  }

  static let hasMpmath: Bool = (try? output(["-c", "import mpmath"])).flatMap { $0 } != nil

  static func script(_ name: String) -> String {
    Reference.folder.appendingPathComponent("Generators/\(name)").path
  }
}

/// The worst of many errors, with the row it came from.
struct Worst {
  var error = 0.0
  var row = ""

  /// |found - expected| in units of `unit` (1e-18), less `relative` of `scale`.
  mutating func note(
    _ found: Int128, _ expected: Int128, unit: Double, allowance: Double = 0, _ row: Reference
  ) {
    let difference = max(0, abs(Double(found - expected)) - allowance) / unit
    if difference > error {
      error = difference
      self.row = "\(row.kind) \(row.inputs)"
    }
  }
}

/// A seeded generator of our own: xorshift64*, and bits to a range by high product.
struct Random {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func word() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_F491_4F6C_DD1D
  }

  /// Uniform in `range`.
  mutating func next(_ range: ClosedRange<Int64>) -> Int64 {
    let span = UInt64(bitPattern: range.upperBound &- range.lowerBound) &+ 1
    return range.lowerBound &+ Int64(bitPattern: word().multipliedFullWidth(by: span).high)
  }

  /// Roughly uniform in the logarithm: a random bit length, then random bits.
  mutating func logarithmic(_ range: ClosedRange<Int64>) -> Int64 {
    let low = 63 - range.lowerBound.leadingZeroBitCount
    let high = 63 - range.upperBound.leadingZeroBitCount
    let bits = next(Int64(low)...Int64(high))
    let top: Int64 = 1 << bits
    return min(max(top + next(0...(top - 1)), range.lowerBound), range.upperBound)
  }
}
