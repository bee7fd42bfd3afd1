import Testing
import Wire

@Suite("Strict JSON") struct JSONTests {
  struct Row: Sendable {
    let text: String, value: JSONValue
    init(_ text: String, _ value: JSONValue) {
      self.text = text
      self.value = value
    }
  }

  static let accepted = [
    Row("null", .null), Row(" \t\r\n true ", true), Row("false", false), Row("\"\"", ""),
    Row("0", .number("0")), Row("-0", .number("-0")), Row("-12.50e+03", .number("-12.50e+03")),
    Row("0.1E-9", .number("0.1E-9")), Row("1e400", .number("1e400")), Row("0e0", .number("0e0")),
    Row("[]", []), Row("[ ]", []), Row("{ }", [:]),
    Row("[1 , [2]]", [.number("1"), [.number("2")]]),
    Row(#"{"b":1,"a":{"b":[]}}"#, ["b": .number("1"), "a": ["b": []]]),
    Row(#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
    Row(#""\u0041\u00e9\u20AC\uD83D\ude00""#, "Aé€😀"), Row("\"é€😀\u{7F}\"", "é€😀\u{7F}"),
    Row(#""x\u0000y""#, .string("x\u{0}y")), Row("\"\u{10FFFF}\u{FFFF}\"", "\u{10FFFF}\u{FFFF}"),
    Row(#"{"":0}"#, ["": .number("0")]),
    // Equal to Unicode, different keys to JSON.
    Row("{\"\u{E9}\":1,\"e\u{301}\":2}", ["\u{E9}": .number("1"), "e\u{301}": .number("2")]),
  ]

  @Test("well-formed text has its value", arguments: accepted)
  func accept(row: Row) throws {
    #expect(try JSONValue.parse(row.text) == row.value)
  }

  struct Fault: Sendable {
    let bytes: [UInt8], failure: JSONFailure
    init(_ text: String, _ failure: JSONFailure) {
      bytes = Array(text.utf8)
      self.failure = failure
    }
    /// The bytes inside quotation marks.
    init(string bytes: [UInt8], _ failure: JSONFailure) {
      self.bytes = [0x22] + bytes + [0x22]
      self.failure = failure
    }
  }

  static func byte(_ character: Unicode.Scalar, _ offset: Int) -> JSONFailure {
    .unexpectedByte(UInt8(ascii: character), offset: offset)
  }

  static let grammarFaults = [
    Fault("", .truncated(offset: 0)), Fault("  ", .truncated(offset: 2)),
    Fault("nul", .truncated(offset: 3)), Fault("nulL", byte("L", 3)), Fault("True", byte("T", 0)),
    Fault("[", .truncated(offset: 1)), Fault("[1", .truncated(offset: 2)),
    Fault("[1,", .truncated(offset: 3)), Fault("[1,]", byte("]", 3)), Fault("[,1]", byte(",", 1)),
    Fault("[1 2]", byte("2", 3)), Fault("]", byte("]", 0)), Fault("[1}", byte("}", 2)),
    Fault("{", .truncated(offset: 1)), Fault("{\"a\"", .truncated(offset: 4)),
    Fault("{\"a\":", .truncated(offset: 5)), Fault("{\"a\":1", .truncated(offset: 6)),
    Fault("{\"a\":1,}", byte("}", 7)), Fault("{\"a\" 1}", byte("1", 5)),
    Fault("{a:1}", byte("a", 1)), Fault("{1:1}", byte("1", 1)), Fault("{,}", byte(",", 1)),
    Fault("{\"a\":1]", byte("]", 6)), Fault("'a'", byte("'", 0)), Fault("NaN", byte("N", 0)),
    Fault("-Infinity", .invalidNumber(offset: 1)), Fault("// x", byte("/", 0)),
    Fault("null null", .trailing(offset: 5)), Fault("{} x", .trailing(offset: 3)),
    Fault("1\u{0}", .trailing(offset: 1)), Fault("[1]\u{FEFF}", .trailing(offset: 3)),
    Fault("\u{FEFF}1", .unexpectedByte(0xEF, offset: 0)),
    Fault("\u{A0}1", .unexpectedByte(0xC2, offset: 0)),
    Fault("\u{B}1", .unexpectedByte(0x0B, offset: 0)),
    Fault(#"{"a":1,"a":1}"#, .duplicateKey("a", offset: 7)),
    Fault(#"{"a":1,"\u0061":1}"#, .duplicateKey("a", offset: 7)),
    Fault(#"[{"x":{"a":1,"b":2,"a":3}}]"#, .duplicateKey("a", offset: 19)),
  ]

  static let numberFaults = [
    Fault("01", .invalidNumber(offset: 0)), Fault("-01", .invalidNumber(offset: 1)),
    Fault("00", .invalidNumber(offset: 0)), Fault("-", .truncated(offset: 1)),
    Fault("1.", .truncated(offset: 2)), Fault("[1.]", .invalidNumber(offset: 3)),
    Fault("1.e5", .invalidNumber(offset: 2)), Fault(".5", byte(".", 0)), Fault("+1", byte("+", 0)),
    Fault("1e", .truncated(offset: 2)), Fault("[1e+]", .invalidNumber(offset: 4)),
    Fault("--1", .invalidNumber(offset: 1)), Fault("1e1.5", .trailing(offset: 3)),
    Fault("0x1", .trailing(offset: 1)), Fault("1_0", .trailing(offset: 1)),
  ]

  static let stringFaults = [
    Fault("\"", .truncated(offset: 1)), Fault("\"abc", .truncated(offset: 4)),
    Fault("\"\\", .truncated(offset: 2)), Fault("\"\\u12", .truncated(offset: 5)),
    Fault("\"a\nb\"", .controlCharacter(offset: 2)),
    Fault("\"\u{0}\"", .controlCharacter(offset: 1)),
    Fault("\"\u{1F}\"", .controlCharacter(offset: 1)), Fault(#""\x""#, .invalidEscape(offset: 1)),
    Fault(#""\U0041""#, .invalidEscape(offset: 1)), Fault(#""a\u00g0""#, .invalidEscape(offset: 2)),
    Fault(#""\u+041""#, .invalidEscape(offset: 1)),
    Fault(#""\uD800""#, .loneSurrogate(offset: 1)), Fault(#""x\uDC00""#, .loneSurrogate(offset: 2)),
    Fault(#""\uD800\uD800""#, .loneSurrogate(offset: 1)),
    Fault(#""\uD800\n""#, .loneSurrogate(offset: 1)),
    Fault(#""\uD800\u0041""#, .loneSurrogate(offset: 1)),
    Fault(#""\uDE00\uD83D""#, .loneSurrogate(offset: 1)),
    Fault(#""\uD83D\uDE0""#, .invalidEscape(offset: 7)),
    // Bare continuation, overlong forms, surrogates, beyond U+10FFFF, cut short.
    Fault(string: [0x80], .invalidUTF8(offset: 1)),
    Fault(string: [0xC0, 0x80], .invalidUTF8(offset: 1)),
    Fault(string: [0xC1, 0xBF], .invalidUTF8(offset: 1)),
    Fault(string: [0xE0, 0x9F, 0xBF], .invalidUTF8(offset: 1)),
    Fault(string: [0xED, 0xA0, 0x80], .invalidUTF8(offset: 1)),
    Fault(string: [0xF0, 0x8F, 0xBF, 0xBF], .invalidUTF8(offset: 1)),
    Fault(string: [0xF4, 0x90, 0x80, 0x80], .invalidUTF8(offset: 1)),
    Fault(string: [0xF5, 0x80, 0x80, 0x80], .invalidUTF8(offset: 1)),
    Fault(string: [0x61, 0xFF], .invalidUTF8(offset: 2)),
    Fault(string: [0xE2, 0x82], .invalidUTF8(offset: 1)),
    Fault(string: [0xC3], .invalidUTF8(offset: 1)),
    Fault(string: [0xF0, 0x9F, 0x98, 0x41], .invalidUTF8(offset: 1)),
  ]

  @Test(
    "malformed text is refused where it breaks",
    arguments: grammarFaults + numberFaults + stringFaults)
  func refuse(fault: Fault) {
    #expect(throws: fault.failure) { try JSONValue.parse(fault.bytes) }
  }

  @Test("every UTF-8 sequence up to three bytes is judged as the standard library judges it")
  func utf8() {
    for first in UInt8(0x80)...0xFF {
      for second in stride(from: UInt8(0x70), through: 0xC8, by: 1) {
        for tail in [[], [0x7F], [0x80], [0xBF], [0xC0], [0x80, 0x80]] as [[UInt8]] {
          let bytes = [first, second] + tail
          let valid = String(validating: bytes, as: UTF8.self)
          let parsed = try? JSONValue.parse([0x22] + bytes + [0x22])
          if parsed != valid.map(JSONValue.string) { Issue.record("found \(bytes)") }
        }
      }
    }
  }

  @Test("nesting is allowed up to the maximum and refused beyond it")
  func depth() throws {
    func nested(_ count: Int) -> String {
      String(repeating: "[", count: count) + String(repeating: "]", count: count)
    }
    _ = try JSONValue.parse(nested(32))
    #expect(throws: JSONFailure.tooDeep(offset: 32, maximum: 32)) {
      try JSONValue.parse(nested(33))
    }
    #expect(throws: JSONFailure.tooDeep(offset: 5, maximum: 1)) {
      try JSONValue.parse("{\"a\":{}}", depthMax: 1)
    }
    #expect(throws: JSONFailure.tooDeep(offset: 0, maximum: 0)) {
      try JSONValue.parse("[]", depthMax: 0)
    }
    #expect(try JSONValue.parse("1", depthMax: 0) == .number("1"))
    _ = try JSONValue.parse(nested(512), depthMax: 512)
    #expect(throws: JSONFailure.tooDeep(offset: 32, maximum: 32)) {
      try JSONValue.parse(String(repeating: "[", count: 1_000_000))
    }
  }

  @Test("many keys are told apart, and a repetition among them is found")
  func manyKeys() throws {
    for count in [15, 16, 17, 18, 50_000] {
      let body = (0..<count).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
      let value = try JSONValue.parse("{\(body)}")
      #expect(value["k\(count - 1)"] == .number("\(count - 1)"))
      for repeated in [0, count / 2, count - 1] {
        #expect(throws: JSONFailure.duplicateKey("k\(repeated)", offset: body.utf8.count + 2)) {
          try JSONValue.parse("{\(body),\"k\(repeated)\":0}")
        }
      }
    }
  }

  @Test("a prefix of a text is never a text, and a cut or flipped byte never crashes")
  func mutations() throws {
    let text = Array(#"{"id":"a1","list":[1,-2.5e3,null,true],"s":"é\u00e9\uD83D\uDE00"}"#.utf8)
    _ = try JSONValue.parse(text)
    for count in 0..<text.count {
      #expect(throws: JSONFailure.self) { try JSONValue.parse(Array(text[..<count])) }
    }
    for index in text.indices {
      for bit in 0..<8 {
        var flipped = text
        flipped[index] ^= 1 << bit
        guard let value = try? JSONValue.parse(flipped) else { continue }
        #expect(try JSONValue.parse(value.bytes()) == value)
      }
    }
  }

  @Test("writing is compact, in order, and escapes one way")
  func write() {
    let value: JSONValue = [
      "z": .integer(-5), "a": [true, false, .null, .number("1.50")],
      "s": "\"\\/\u{8}\u{C}\n\r\t\u{0}\u{1f}\u{7f}é😀", "o": [:], "e": [],
    ]
    #expect(
      value.text()
        == #"{"z":-5,"a":[true,false,null,1.50],"s":"\"\\/\b\f\n\r\t\u0000\u001f"#
        + "\u{7f}é😀\",\"o\":{},\"e\":[]}")
  }

  @Test("parsing gives back every written value", arguments: [1, 2, 3] as [UInt64])
  func roundTrip(seed: UInt64) throws {
    var generator = TextGenerator(state: seed)
    for _ in 0..<500 {
      let value = Self.value(&generator, depth: 0)
      let text = value.text()
      #expect(try JSONValue.parse(text) == value, "seed \(seed), \(text)")
      #expect(try JSONValue.parse(text).text() == text, "seed \(seed)")
    }
  }

  static func string(_ generator: inout TextGenerator) -> String {
    var text = ""
    for _ in 0..<generator.below(12) {
      let bound = [0x20, 0x80, 0x800, 0x10000, 0x110000][generator.below(5)]
      guard let scalar = Unicode.Scalar(UInt32(generator.below(bound))) else { continue }
      text.unicodeScalars.append(scalar)
    }
    return text
  }

  static func value(_ generator: inout TextGenerator, depth: Int) -> JSONValue {
    switch generator.below(depth < 5 ? 7 : 5) {
    case 0: return .null
    case 1: return .bool(generator.below(2) == 0)
    case 2: return .integer(Int64(bitPattern: generator.next()) >> Int64(generator.below(64)))
    case 3, 4: return .string(string(&generator))
    case 5: return .array((0..<generator.below(6)).map { _ in value(&generator, depth: depth + 1) })
    default:
      return .object(
        (0..<generator.below(20)).map { index in
          (key: "\(index)" + string(&generator), value: value(&generator, depth: depth + 1))
        })
    }
  }

  @Test("a number that is none stops the writer")
  func invalidNumber() async {
    await #expect(processExitsWith: .failure) { _ = JSONValue.number("01").text() }
    await #expect(processExitsWith: .failure) { _ = JSONValue.number("1,\"x\":2").text() }
  }
}

@Suite("JSON access") struct JSONAccessTests {
  let value: JSONValue = [
    "s": "x", "b": true, "d": "-1.5", "n": .number("2.5"), "i": .number("7"), "j": "8",
    "l": ["1", "0.25"], "z": .null, "o": ["k": "v"],
  ]

  @Test("members are found by type")
  func typed() throws {
    #expect(try value.string(at: "s") == "x")
    #expect(try value.bool(at: "b"))
    #expect(try value.decimal(at: "d", digits: 8, as: Int64.self) == -150_000_000)
    #expect(try value.decimal(at: "n", digits: 1, numbers: true, as: Int128.self) == 25)
    #expect(try value.integer(at: "i", as: UInt8.self) == 7)
    #expect(try value.integer(at: "j", as: Int64.self) == 8)
    #expect(try value.decimals(at: "l", digits: 2, as: Int64.self) == [100, 25])
    #expect(try value.array(at: "l").count == 2)
    #expect(try value.object(at: "o").map(\.key) == ["k"])
    #expect(try value.member(at: "z") == .null)
    #expect(value["absent"] == nil && JSONValue.null["s"] == nil)
  }

  @Test("an absent member, or null, is nil where it may be")
  func optional() throws {
    #expect(try value.optionalString(at: "absent") == nil)
    #expect(try value.optionalString(at: "z") == nil)
    #expect(try value.optionalString(at: "s") == "x")
    #expect(try value.optionalBool(at: "z") == nil)
    #expect(try value.optionalArray(at: "z") == nil)
    #expect(try value.optionalDecimal(at: "z", digits: 8, as: Int64.self) == nil)
    #expect(try value.optionalDecimal(at: "d", digits: 0, as: Int64.self) == -2)
    #expect(try value.optionalInteger(at: "i", as: Int.self) == 7)
    #expect(throws: JSONFailure.mistyped("s", expected: "a boolean", found: "a string")) {
      try value.optionalBool(at: "s")
    }
  }

  @Test("what is missing or of another type is refused by name")
  func refused() {
    #expect(throws: JSONFailure.missing("q")) { try value.string(at: "q") }
    #expect(throws: JSONFailure.mistyped("z", expected: "a string", found: "null")) {
      try value.string(at: "z")
    }
    #expect(throws: JSONFailure.mistyped("n", expected: "a decimal string", found: "a number")) {
      try value.decimal(at: "n", digits: 8, as: Int64.self)
    }
    #expect(throws: JSONFailure.invalid("s", .malformed(offset: 0))) {
      try value.decimal(at: "s", digits: 8, as: Int64.self)
    }
    #expect(throws: JSONFailure.invalid("d", .overflow)) {
      try value.decimal(at: "d", digits: 38, as: Int64.self)
    }
    #expect(throws: JSONFailure.mistyped("n", expected: "an integer", found: "\"2.5\"")) {
      try value.integer(at: "n", as: Int.self)
    }
    #expect(throws: JSONFailure.invalid("i", .overflow)) {
      try JSONValue.parse(#"{"i":256}"#).integer(at: "i", as: UInt8.self)
    }
    #expect(throws: JSONFailure.invalid("i", .overflow)) {
      try JSONValue.parse(#"{"i":-1}"#).integer(at: "i", as: UInt8.self)
    }
    #expect(throws: JSONFailure.mistyped("i", expected: "an integer", found: "\"+1\"")) {
      try JSONValue.parse(#"{"i":"+1"}"#).integer(at: "i", as: Int.self)
    }
    #expect(throws: JSONFailure.mistyped("s", expected: "an object around it", found: "an array")) {
      try JSONValue.array([]).string(at: "s")
    }
  }

  @Test("unknown keys are refused, look-alikes among them")
  func allowing() throws {
    let value: JSONValue = ["K": .null, "b": .null]
    #expect(try value.object(allowing: ["b", "K", "c"]).count == 2)
    #expect(throws: JSONFailure.unexpected("b")) { try value.object(allowing: ["K"]) }
    let kelvin: JSONValue = ["\u{212A}": .null]
    #expect(throws: JSONFailure.unexpected("\u{212A}")) { try kelvin.object(allowing: ["K"]) }
    #expect(kelvin["K"] == nil)
    #expect(throws: JSONFailure.mistyped("value", expected: "an object", found: "a string")) {
      try JSONValue.string("x").object(allowing: [])
    }
  }
}
