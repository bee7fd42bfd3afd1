public import Primitives

/// Why a text is no instrument's name, or an instrument has none.
public enum InstrumentNameFailure: Error, Hashable, Sendable {
  /// Not one of the three forms: two parts, or four.
  case form(String)
  /// Not 1…16 capital letters, digits and underscores.
  case underlying(String)
  /// Not a day such as `4FEB26`, with `T1430` behind it unless it is 08:00 UTC.
  case expiry(String)
  /// Not a positive number of at most 8 decimals that fits a price.
  case strike(String)
  /// Neither `C` nor `P`.
  case optionType(String)
  /// Not a whole minute of the years 2000…2099.
  case namelessExpiry(Timestamp)
  /// Not positive.
  case namelessStrike(Price)
}

extension InstrumentNameFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .form(let text):
      "expected a name such as BTC-PERP, BTC-27MAR26 or BTC-13FEB26-60000-C, found \"\(text)\""
    case .underlying(let text):
      "expected 1 to 16 capital letters, digits or underscores, found \"\(text)\""
    case .expiry(let text): "expected an expiry such as 4FEB26 or 4FEB26T1430, found \"\(text)\""
    case .strike(let text): "expected a positive strike of at most 8 decimals, found \"\(text)\""
    case .optionType(let text): "expected C or P, found \"\(text)\""
    case .namelessExpiry(let time):
      "expected an expiry on a whole minute of 2000 to 2099, found \(time.raw) ms"
    case .namelessStrike(let price): "expected a positive strike, found \(price.raw)e-8"
    }
  }
}

/// An instrument's name in Deribit's spelling: `BTC-13FEB26-60000-C`, `BTC-27MAR26`, `BTC-PERP`.
///
/// A bare day stands for 08:00 UTC; any other whole minute is written behind it, as in
/// `BTC-13FEB26T1430-60000-C`. Decimal strikes are written with `d`, as in `0d55`. Every value has
/// one canonical name; parsing also takes `.` for `d` and trailing zeros of a strike, nothing else.
public struct InstrumentName: Hashable, Sendable {
  public enum Form: Hashable, Sendable {
    case option(expiry: Timestamp, strike: Price, isCall: Bool)
    case future(expiry: Timestamp)
    case perpetual
  }

  /// 1…16 capital letters, digits and underscores.
  public let underlying: String
  public let form: Form

  /// A name of these parts.
  /// - Throws: `.underlying`, `.namelessExpiry`, `.namelessStrike`.
  public init(underlying: String, form: Form) throws(InstrumentNameFailure) {
    let letters = underlying.utf8
    guard !letters.isEmpty, letters.count <= 16, letters.allSatisfy(InstrumentName.isLetter)
    else { throw .underlying(underlying) }
    switch form {
    case .option(let expiry, let strike, _):
      guard strike.raw > 0 else { throw .namelessStrike(strike) }
      guard ExpiryText.isNameable(expiry) else { throw .namelessExpiry(expiry) }
    case .future(let expiry):
      guard ExpiryText.isNameable(expiry) else { throw .namelessExpiry(expiry) }
    case .perpetual: break
    }
    self.underlying = underlying
    self.form = form
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// The parts of a name.
  /// - Throws: `.form`, `.underlying`, `.expiry`, `.strike`, `.optionType`.
  public init(_ text: String) throws(InstrumentNameFailure) {
    let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
      .map { Array($0) }
    let form: Form
    switch parts.count {
    case 2 where parts[1] == Array("PERP".utf8): form = .perpetual
    case 2: form = .future(expiry: try ExpiryText.parse(parts[1]))
    case 4:
      let expiry = try ExpiryText.parse(parts[1])
      let strike = try StrikeText.parse(parts[2])
      let type = String(decoding: parts[3], as: UTF8.self)
      guard type == "C" || type == "P" else { throw .optionType(type) }
      form = .option(expiry: expiry, strike: strike, isCall: type == "C")
    default: throw .form(text)
    }
    try self.init(underlying: String(decoding: parts[0], as: UTF8.self), form: form)
  }
}

extension InstrumentName: CustomStringConvertible {
  /// The canonical name.
  public var description: String {
    switch form {
    case .option(let expiry, let strike, let isCall):
      "\(underlying)-\(ExpiryText.text(expiry))-\(StrikeText.text(strike))-\(isCall ? "C" : "P")"
    case .future(let expiry): "\(underlying)-\(ExpiryText.text(expiry))"
    case .perpetual: "\(underlying)-PERP"
    }
  }
}

/// `4FEB26`, `13FEB26T1430`.
private enum ExpiryText {
  static let months = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
  ]
  static let minute: Int64 = 60_000
  /// 08:00 UTC, which goes without saying.
  static let usualMinute: Int64 = 8 * 60

  static func isNameable(_ time: Timestamp) -> Bool {
    guard let (date, milliseconds) = CivilDate.split(time) else { return false }
    return date.year >= 2000 && date.year <= 2099 && milliseconds % minute == 0
  }

  /// - Precondition: the time is nameable.
  static func text(_ time: Timestamp) -> String {
    guard isNameable(time), let (date, milliseconds) = CivilDate.split(time) else {
      preconditionFailure("an instrument name holds the expiry \(time.raw)")
    }
    let day = "\(date.day)\(months[date.month - 1])\(padded(date.year % 100))"
    let minutes = milliseconds / minute
    if minutes == usualMinute { return day }
    return "\(day)T\(padded(Int(minutes / 60)))\(padded(Int(minutes % 60)))"
  }

  private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  static func parse(_ bytes: [UInt8]) throws(InstrumentNameFailure) -> Timestamp {
    let failure = InstrumentNameFailure.expiry(String(decoding: bytes, as: UTF8.self))
    let dayDigits = bytes.prefix { digit($0) != nil }.count
    let dayLength = dayDigits + 5
    guard dayDigits == 1 || dayDigits == 2, bytes[0] != UInt8(ascii: "0"),
      bytes.count == dayLength || bytes.count == dayLength + 5,
      let day = number(bytes[..<dayDigits]),
      let month = months.firstIndex(
        of: String(decoding: bytes[dayDigits..<dayDigits + 3], as: UTF8.self)),
      let year = number(bytes[(dayDigits + 3)..<dayLength]),
      let date = CivilDate(year: 2000 + year, month: month + 1, day: day)
    else { throw failure }
    guard bytes.count > dayLength else { return date.time(milliseconds: usualMinute * minute) }
    guard bytes[dayLength] == UInt8(ascii: "T"),
      let hours = number(bytes[(dayLength + 1)..<(dayLength + 3)]), hours < 24,
      let minutes = number(bytes[(dayLength + 3)...]), minutes < 60,
      Int64(hours * 60 + minutes) != usualMinute
    else { throw failure }
    return date.time(milliseconds: Int64(hours * 60 + minutes) * minute)
  }

  static func digit(_ byte: UInt8) -> Int? {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? Int(byte - UInt8(ascii: "0")) : nil
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> Int? {
    var value = 0
    for byte in bytes {
      guard let figure = digit(byte) else { return nil }
      value = value * 10 + figure
    }
    return value
  }
}

/// `60000`, `0d55`.
private enum StrikeText {
  static func text(_ strike: Price) -> String {
    let whole = strike.raw / Price.scale
    var fraction = strike.raw % Price.scale
    if fraction == 0 { return "\(whole)" }
    var figures = 8
    while fraction % 10 == 0 {
      fraction /= 10
      figures -= 1
    }
    let text = "\(fraction)"
    return "\(whole)d" + String(repeating: "0", count: figures - text.utf8.count) + text
  }

  static func parse(_ bytes: [UInt8]) throws(InstrumentNameFailure) -> Price {
    let failure = InstrumentNameFailure.strike(String(decoding: bytes, as: UTF8.self))
    let point = bytes.firstIndex { $0 == UInt8(ascii: "d") || $0 == UInt8(ascii: ".") }
    let whole = bytes[..<(point ?? bytes.count)]
    var fraction = point.map { bytes[($0 + 1)...] } ?? []
    if point != nil, fraction.isEmpty { throw failure }
    while fraction.last == UInt8(ascii: "0") { fraction.removeLast() }
    guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0"),
      fraction.count <= 8
    else { throw failure }
    var raw: Int64 = 0
    for byte in Array(whole) + fraction
      + Array(repeating: UInt8(ascii: "0"), count: 8 - fraction.count)
    {
      guard let figure = ExpiryText.digit(byte) else { throw failure }
      let (tens, overflow) = raw.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int64(figure))
      if overflow || carry { throw failure }
      raw = sum
    }
    guard raw > 0 else { throw failure }
    return Price(raw: raw)
  }
}
