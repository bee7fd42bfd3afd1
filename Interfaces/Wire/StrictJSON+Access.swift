/// Typed access to members. `…(at:)` throws `.missing` for an absent key and `.mistyped` for
/// another type; `optional…(at:)` gives nil for an absent key or `null`.
extension JSONValue {
  /// The member of that key, nil when there is none or this is no object. Linear in the members.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
  }

  /// The members of an object that has no key outside `keys`.
  /// - Throws: `.unexpected` for the first unknown key, `.mistyped` when this is no object.
  @discardableResult
  public func object(allowing keys: Set<String>, name: String = "value") throws(JSONFailure)
    -> [(key: String, value: JSONValue)]
  {
    let members = try asObject(name)
    for (key, _) in members {
      // A set finds Unicode equivalents too (KELVIN SIGN for K): compare the bytes again.
      guard let index = keys.firstIndex(of: key), keys[index].utf8.elementsEqual(key.utf8) else {
        throw .unexpected(key)
      }
    }
    return members
  }

  /// The name of the type, for messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  private func mistyped(_ name: String, _ expected: String) -> JSONFailure {
    .mistyped(name, expected: expected, found: kind)
  }
}

// MARK: - This value as a type; `name` is for the message

extension JSONValue {
  public func asObject(_ name: String = "value") throws(JSONFailure)
    -> [(key: String, value: JSONValue)]
  {
    guard case .object(let members) = self else { throw mistyped(name, "an object") }
    return members
  }

  public func asArray(_ name: String = "value") throws(JSONFailure) -> [JSONValue] {
    guard case .array(let elements) = self else { throw mistyped(name, "an array") }
    return elements
  }

  public func asString(_ name: String = "value") throws(JSONFailure) -> String {
    guard case .string(let text) = self else { throw mistyped(name, "a string") }
    return text
  }

  public func asBool(_ name: String = "value") throws(JSONFailure) -> Bool {
    guard case .bool(let value) = self else { throw mistyped(name, "a boolean") }
    return value
  }

  /// A decimal string at 10^-`digits`, digits beyond it rounded to nearest, ties to even. A JSON
  /// number, whose text is kept, is taken only where `numbers` allows it.
  /// - Throws: `.mistyped`; `.invalid` when the text is malformed or does not fit.
  public func asDecimal<Raw: FixedWidthInteger & SignedInteger>(
    _ name: String = "value", digits: Int, numbers: Bool = false, as: Raw.Type = Raw.self
  ) throws(JSONFailure) -> Raw {
    let text: String
    switch self {
    case .string(let found): text = found
    case .number(let found) where numbers: text = found
    case .null, .bool, .number, .array, .object: throw mistyped(name, "a decimal string")
    }
    do throws(DecimalFailure) {
      return try DecimalText.parse(text, digits: digits)
    } catch {
      throw .invalid(name, error)
    }
  }

  /// A whole number, as JSON number or string, without point or exponent.
  /// - Throws: `.mistyped` for another type or form; `.invalid` when it does not fit.
  public func asInteger<Value: FixedWidthInteger>(
    _ name: String = "value", as: Value.Type = Value.self
  ) throws(JSONFailure) -> Value {
    let text: String
    switch self {
    case .string(let found), .number(let found): text = found
    case .null, .bool, .array, .object: throw mistyped(name, "an integer")
    }
    let figures = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
    guard !figures.isEmpty,
      figures.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
    else { throw .mistyped(name, expected: "an integer", found: "\"\(text)\"") }
    guard let value = Value(text) else { throw .invalid(name, .overflow) }
    return value
  }
}

// MARK: - A member as a type

extension JSONValue {
  /// The member of that key.
  /// - Throws: `.missing`; `.mistyped` when this is no object.
  public func member(at key: String) throws(JSONFailure) -> JSONValue {
    guard case .object = self else { throw mistyped(key, "an object around it") }
    guard let value = self[key] else { throw .missing(key) }
    return value
  }

  public func object(at key: String) throws(JSONFailure) -> [(key: String, value: JSONValue)] {
    try member(at: key).asObject(key)
  }

  public func array(at key: String) throws(JSONFailure) -> [JSONValue] {
    try member(at: key).asArray(key)
  }

  public func string(at key: String) throws(JSONFailure) -> String {
    try member(at: key).asString(key)
  }

  public func bool(at key: String) throws(JSONFailure) -> Bool {
    try member(at: key).asBool(key)
  }

  public func decimal<Raw: FixedWidthInteger & SignedInteger>(
    at key: String, digits: Int, numbers: Bool = false, as: Raw.Type = Raw.self
  ) throws(JSONFailure) -> Raw {
    try member(at: key).asDecimal(key, digits: digits, numbers: numbers)
  }

  public func integer<Value: FixedWidthInteger>(at key: String, as: Value.Type = Value.self)
    throws(JSONFailure) -> Value
  {
    try member(at: key).asInteger(key)
  }

  /// A list of decimal strings.
  public func decimals<Raw: FixedWidthInteger & SignedInteger>(
    at key: String, digits: Int, numbers: Bool = false, as: Raw.Type = Raw.self
  ) throws(JSONFailure) -> [Raw] {
    var values: [Raw] = []
    for element in try array(at: key) {
      values.append(try element.asDecimal(key, digits: digits, numbers: numbers))
    }
    return values
  }
}

// MARK: - A member that may be absent

extension JSONValue {
  /// The member of that key unless it is absent or `null`.
  /// - Throws: `.mistyped` when this is no object.
  public func optionalMember(at key: String) throws(JSONFailure) -> JSONValue? {
    guard case .object = self else { throw mistyped(key, "an object around it") }
    guard let value = self[key], value != .null else { return nil }
    return value
  }

  public func optionalArray(at key: String) throws(JSONFailure) -> [JSONValue]? {
    guard let value = try optionalMember(at: key) else { return nil }
    return try value.asArray(key)
  }

  public func optionalString(at key: String) throws(JSONFailure) -> String? {
    guard let value = try optionalMember(at: key) else { return nil }
    return try value.asString(key)
  }

  public func optionalBool(at key: String) throws(JSONFailure) -> Bool? {
    guard let value = try optionalMember(at: key) else { return nil }
    return try value.asBool(key)
  }

  public func optionalDecimal<Raw: FixedWidthInteger & SignedInteger>(
    at key: String, digits: Int, numbers: Bool = false, as: Raw.Type = Raw.self
  ) throws(JSONFailure) -> Raw? {
    guard let value = try optionalMember(at: key) else { return nil }
    return try value.asDecimal(key, digits: digits, numbers: numbers)
  }

  public func optionalInteger<Value: FixedWidthInteger>(
    at key: String, as: Value.Type = Value.self
  ) throws(JSONFailure) -> Value? {
    guard let value = try optionalMember(at: key) else { return nil }
    return try value.asInteger(key)
  }
}
