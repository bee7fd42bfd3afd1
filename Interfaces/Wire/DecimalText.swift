public import Primitives

/// Why a text is not a decimal number of the wanted unit.
public enum DecimalFailure: Error, Hashable, Sendable {
  /// There is no text.
  case empty
  /// The byte at `offset` (or the end of the text) cannot stand there.
  case malformed(offset: Int)
  /// The number is well formed and does not fit the integer.
  case overflow
  /// The number has digits beyond its unit, where none may be lost.
  case inexact
}

extension DecimalFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .empty: "expected a decimal number, found an empty text"
    case .malformed(let offset): "expected a decimal number, found a fault at byte \(offset)"
    case .overflow: "the number does not fit its unit"
    case .inexact: "the number has more digits than its unit"
    }
  }
}

/// Decimal text to and from integers in units of a power of ten, without a floating-point number
/// in between.
public enum DecimalText {
  /// The text times 10^`digits`, digits beyond it rounded to nearest, ties to even.
  ///
  /// The form is `-`? digits (`.` digits)? ((`e`|`E`) (`+`|`-`)? digits)?, leading zeros allowed.
  /// Time is linear in the text, whatever the exponent says.
  /// - Throws: `.empty`, `.malformed`, `.overflow`.
  public static func parse<Raw: FixedWidthInteger & SignedInteger>(
    _ text: String, digits: Int, as: Raw.Type = Raw.self
  ) throws(DecimalFailure) -> Raw {
    try parse(Array(text.utf8), digits: digits)
  }

  /// The text times 10^`digits`, which must be an integer: nothing is rounded.
  /// - Throws: `.empty`, `.malformed`, `.overflow`, `.inexact`.
  public static func parse<Raw: FixedWidthInteger & SignedInteger>(
    exactly text: String, digits: Int, as: Raw.Type = Raw.self
  ) throws(DecimalFailure) -> Raw {
    precondition(digits >= 0 && digits <= digitsMax)
    let parts = try Parts(Array(text.utf8))
    guard parts.isExact(digits: digits) else { throw .inexact }
    return try parts.rounded(digits: digits)
  }

  /// As `parse(_:digits:as:)`, from ASCII bytes.
  public static func parse<Raw: FixedWidthInteger & SignedInteger>(
    _ bytes: [UInt8], digits: Int, as: Raw.Type = Raw.self
  ) throws(DecimalFailure) -> Raw {
    precondition(digits >= 0 && digits <= digitsMax)
    let parts = try Parts(bytes)
    return try parts.rounded(digits: digits)
  }

  /// `raw` / 10^`digits`, exactly: trailing zeros of the fraction trimmed down to
  /// `minimumFraction` digits, which may pass `digits`. Zero has no sign.
  public static func format<Raw: FixedWidthInteger & SignedInteger>(
    _ raw: Raw, digits: Int, minimumFraction: Int = 0
  ) -> String {
    precondition(digits >= 0 && digits <= digitsMax && minimumFraction >= 0)
    let zero = UInt8(ascii: "0")
    var figures = Array(String(raw.magnitude).utf8)
    if figures.count <= digits {
      figures.insert(contentsOf: repeatElement(zero, count: digits + 1 - figures.count), at: 0)
    }
    var fraction = digits
    while fraction > minimumFraction, figures.last == zero {
      figures.removeLast()
      fraction -= 1
    }
    while fraction < minimumFraction {
      figures.append(zero)
      fraction += 1
    }
    if fraction > 0 { figures.insert(UInt8(ascii: "."), at: figures.count - fraction) }
    if raw < 0 { figures.insert(UInt8(ascii: "-"), at: 0) }
    return String(decoding: figures, as: UTF8.self)
  }

  /// More fractional digits than an `Int128` has figures serve nobody.
  public static let digitsMax = 38
}

extension DecimalText {
  /// A number taken apart: 0.`figures` × 10^`point`, the first figure not zero.
  private struct Parts {
    var isNegative = false
    var figures: [UInt8] = []
    var point = 0

    init(_ bytes: [UInt8]) throws(DecimalFailure) {
      guard !bytes.isEmpty else { throw .empty }
      var offset = 0
      if bytes[0] == UInt8(ascii: "-") {
        isNegative = true
        offset = 1
      }
      try take(bytes, &offset, isFraction: false)
      if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
        offset += 1
        try take(bytes, &offset, isFraction: true)
      }
      if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
        offset += 1
        point += try Parts.exponent(bytes, &offset)
      }
      guard offset == bytes.count else { throw .malformed(offset: offset) }
    }

    /// Takes one run of at least one digit.
    private mutating func take(_ bytes: [UInt8], _ offset: inout Int, isFraction: Bool)
      throws(DecimalFailure)
    {
      let start = offset
      while offset < bytes.count, let figure = Parts.figure(bytes[offset]) {
        offset += 1
        if figures.isEmpty && figure == 0 {
          if isFraction { point -= 1 }
          continue
        }
        figures.append(figure)
        if !isFraction { point += 1 }
      }
      if offset == start { throw .malformed(offset: offset) }
    }

    /// The exponent, saturated far beyond any text's length.
    private static func exponent(_ bytes: [UInt8], _ offset: inout Int) throws(DecimalFailure)
      -> Int
    {
      var isNegative = false
      if offset < bytes.count,
        bytes[offset] == UInt8(ascii: "-") || bytes[offset] == UInt8(ascii: "+")
      {
        isNegative = bytes[offset] == UInt8(ascii: "-")
        offset += 1
      }
      let start = offset
      var value = 0
      while offset < bytes.count, let figure = Parts.figure(bytes[offset]) {
        value = min(value * 10 + Int(figure), 1_000_000_000_000_000)
        offset += 1
      }
      if offset == start { throw .malformed(offset: offset) }
      return isNegative ? -value : value
    }

    private static func figure(_ byte: UInt8) -> UInt8? {
      byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? byte - UInt8(ascii: "0") : nil
    }

    /// Whether no figure stands beyond `digits` digits behind the point.
    func isExact(digits: Int) -> Bool {
      figures.dropFirst(max(0, point + digits)).allSatisfy { $0 == 0 }
    }

    /// The number times 10^`digits`, to nearest-even.
    func rounded<Raw: FixedWidthInteger & SignedInteger>(digits: Int) throws(DecimalFailure)
      -> Raw
    {
      let kept = point + digits
      if figures.isEmpty || kept < 0 { return 0 }
      // The first figure is not zero: a longer number than the type's bits fits no type.
      guard kept <= Raw.bitWidth else { throw .overflow }
      var magnitude: Raw.Magnitude = 0
      for index in 0..<kept {
        let figure = index < figures.count ? figures[index] : 0
        let (tens, overflow) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(Raw.Magnitude(figure))
        if overflow || carry { throw .overflow }
        magnitude = sum
      }
      if roundsUp(at: kept, isOdd: magnitude & 1 == 1) {
        let (sum, carry) = magnitude.addingReportingOverflow(1)
        if carry { throw .overflow }
        magnitude = sum
      }
      let limit = isNegative ? Raw.min.magnitude : Raw.max.magnitude
      guard magnitude <= limit else { throw .overflow }
      return isNegative
        ? 0 &- Raw(truncatingIfNeeded: magnitude) : Raw(truncatingIfNeeded: magnitude)
    }

    private func roundsUp(at kept: Int, isOdd: Bool) -> Bool {
      guard kept < figures.count else { return false }
      if figures[kept] != 5 { return figures[kept] > 5 }
      for figure in figures[(kept + 1)...] where figure != 0 { return true }
      return isOdd
    }
  }
}

/// A unit whose step is a power of ten, so that it has a decimal text.
public protocol DecimalUnit: Unit {
  /// Decimal digits after the point: the step is 10^-`fractionDigits`.
  static var fractionDigits: Int { get }
}

extension Price: DecimalUnit {
  public static var fractionDigits: Int { 8 }
}
extension Quantity: DecimalUnit {
  public static var fractionDigits: Int { 8 }
}
extension Money: DecimalUnit {
  public static var fractionDigits: Int { 6 }
}
extension Ratio: DecimalUnit {
  public static var fractionDigits: Int { 9 }
}
extension Notional: DecimalUnit {
  public static var fractionDigits: Int { 16 }
}

extension DecimalUnit {
  /// The value of a decimal text, digits beyond the unit rounded to nearest, ties to even.
  /// - Throws: `.empty`, `.malformed`, `.overflow`.
  public init(decimal text: String) throws(DecimalFailure) {
    self.init(raw: try DecimalText.parse(text, digits: Self.fractionDigits))
  }

  /// The exact decimal text, trailing zeros trimmed.
  public var decimal: String { DecimalText.format(raw, digits: Self.fractionDigits) }
}
