extension JSONValue {
  /// The compact text: no white space, members in their order, one escaping for every string.
  ///
  /// Quotation mark, backslash and bytes below 0x20 are escaped, with the short form where there is
  /// one and lower-case `\u00xx` elsewhere; everything else stands as it is.
  /// - Precondition: every `.number` holds a JSON number. Keys are not checked for repetition.
  public func text() -> String { String(decoding: bytes(), as: UTF8.self) }

  /// The UTF-8 of `text()`.
  public func bytes() -> [UInt8] {
    var out: [UInt8] = []
    write(into: &out)
    return out
  }

  /// The text as people read it: two spaces a level, one member or element a line, a newline at
  /// the end. Strings and numbers are written as in `text()`; empty arrays and objects stay closed.
  public func prettyText() -> String {
    var out: [UInt8] = []
    write(into: &out, level: 0)
    out.append(UInt8(ascii: "\n"))
    return String(decoding: out, as: UTF8.self)
  }

  private func write(into out: inout [UInt8], level: Int) {
    func line(_ level: Int) {
      out.append(UInt8(ascii: "\n"))
      out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * level))
    }
    switch self {
    case .array(let elements) where !elements.isEmpty:
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        line(level + 1)
        element.write(into: &out, level: level + 1)
      }
      line(level)
      out.append(UInt8(ascii: "]"))
    case .object(let members) where !members.isEmpty:
      out.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        line(level + 1)
        JSONValue.write(member.key, into: &out)
        out.append(contentsOf: ": ".utf8)
        member.value.write(into: &out, level: level + 1)
      }
      line(level)
      out.append(UInt8(ascii: "}"))
    case .null, .bool, .number, .string, .array, .object: write(into: &out)
    }
  }

  private func write(into out: inout [UInt8]) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
    case .number(let text):
      precondition(JSONParser.isNumber(text), "a JSON number holds \"\(text)\"")
      out.append(contentsOf: text.utf8)
    case .string(let text): JSONValue.write(text, into: &out)
    case .array(let elements):
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        element.write(into: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        JSONValue.write(member.key, into: &out)
        out.append(UInt8(ascii: ":"))
        member.value.write(into: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  private static let hexadecimalDigits: [UInt8] = Array("0123456789abcdef".utf8)

  private static func write(_ text: String, into out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): out.append(contentsOf: #"\""#.utf8)
      case UInt8(ascii: "\\"): out.append(contentsOf: #"\\"#.utf8)
      case 0x08: out.append(contentsOf: #"\b"#.utf8)
      case 0x0C: out.append(contentsOf: #"\f"#.utf8)
      case 0x0A: out.append(contentsOf: #"\n"#.utf8)
      case 0x0D: out.append(contentsOf: #"\r"#.utf8)
      case 0x09: out.append(contentsOf: #"\t"#.utf8)
      case 0..<0x20:
        out.append(contentsOf: #"\u00"#.utf8)
        out.append(hexadecimalDigits[Int(byte >> 4)])
        out.append(hexadecimalDigits[Int(byte & 15)])
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
