import Primitives
import Wire

extension Verdict {
  /// What people read: the same text for the same file, every time.
  ///
  /// - Parameters:
  ///   - name: the file's, as it was given.
  ///   - isQuiet: the last line alone.
  ///   - isVerbose: digests in full, and who signed.
  public func text(name: String, isQuiet: Bool = false, isVerbose: Bool = false) -> String {
    func short(_ digest: Digest) -> String {
      isVerbose ? "\(digest)" : Verdict.short("\(digest)")
    }
    func shortened(_ text: String) -> String { isVerbose ? text : Verdict.shortened(text) }
    var lines: [String] = []
    if !isQuiet {
      lines.append(
        "  file        \(name)  \(Verdict.size(byteCount))  sha256 \(short(sha256))")
      if let network {
        lines.append("  network     \(short(network))\(isPinned ? "  (pinned)" : "")")
      }
      if let first, let last {
        let count = last.raw - first.raw
        lines.append(
          "  batches     \(first)..\(last)  (\(count == .max ? "2^64" : "\(count + 1)"))")
      }
      for check in checks {
        lines.append(
          "  \(check.label)  \(Verdict.padded(check.name.rawValue, 11))  "
            + shortened(check.details))
      }
      for line in answer { lines.append("  answer      \(shortened(line))") }
      if isVerbose {
        for signer in signers {
          lines.append("  signer      \(signer.role)  \(signer.keyID)  \(signer.key)")
        }
        for rule in rules {
          lines.append("  rules       \(rule.ruleSet) from batch \(rule.from)")
        }
        if !anchor.isEmpty { lines.append("  anchor      \(anchor)") }
      }
    }
    lines.append(shortened(summary))
    return lines.map { $0 + "\n" }.joined()
  }

  /// The verdict in one line.
  public var summary: String {
    let good = lastGood.map { "Good through seq \($0)." } ?? ""
    switch outcome {
    case .verified:
      return "VERIFIED at level \(level.rawValue)." + (good.isEmpty ? "" : " \(good)")
    case .failed:
      let name = decisive?.name.rawValue ?? "framing"
      let last = lastGood.map { "Last good seq \($0)." } ?? "No batch is proved good."
      return "FAILED at \(name). \(last)" + (decisive?.meaning.map { " \($0)" } ?? "")
    case .undecided:
      return "CANNOT DECIDE: \(decisive?.reason ?? "nothing was checked")."
        + (good.isEmpty ? "" : " \(good)")
    case .equivocation:
      return "EQUIVOCATION PROVED: \(answer.first ?? "two signed headers for one batch")."
    }
  }

  // MARK: - Small words

  /// `9f2c...e1`: enough to recognise, not to compare.
  static func short(_ digest: String) -> String { "\(digest.prefix(4))...\(digest.suffix(2))" }

  /// The text with every digest and signature in it cut short.
  static func shortened(_ text: String) -> String {
    text.split(separator: " ", omittingEmptySubsequences: false).map { word in
      let digits = word.prefix { $0.isHexDigit }
      return digits.utf8.count >= 64
        ? short(String(digits)) + word.dropFirst(digits.count) : String(word)
    }.joined(separator: " ")
  }

  /// `41.2 MiB`, rounded down.
  static func size(_ count: Int) -> String {
    guard count >= 1_024 else { return "\(count) B" }
    var unit = 1_024
    for name in ["KiB", "MiB", "GiB", "TiB"] {
      if count / 1_024 < unit || name == "TiB" {
        return "\(count / unit).\(count % unit * 10 / unit) \(name)"
      }
      unit *= 1_024
    }
    return "\(count) B"
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }
}

extension Check {
  var label: String {
    switch status {
    case .pass: "PASS"
    case .fail: "FAIL"
    case .skip: "SKIP"
    case .undecided: "OPEN"
    }
  }

  /// The reason, and for a fault where it is and what was expected.
  var details: String {
    var text = ""
    if status == .fail {
      if let batch { text += "seq \(batch), " }
      if let offset { text += "byte \(offset): " }
    }
    text += reason
    if let expected { text += ", expected \(expected)" }
    if let found { text += ", found \(found)" }
    return text
  }
}

// MARK: - JSON

extension Verdict {
  /// The schema's name; a change of meaning changes it.
  public static let schema = "novate.verify/1"

  /// One object on one line.
  public func json(name: String) -> String {
    func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    func number(_ value: BatchNumber?) -> JSONValue { value.map { .number("\($0)") } ?? .null }
    let checks: [JSONValue] = checks.map { check in
      .object([
        ("name", .string(check.name.rawValue)), ("status", .string(check.status.rawValue)),
        ("reason", .string(check.reason)), ("seq", number(check.batch)),
        ("offset", check.offset.map { .number("\($0)") } ?? .null),
        ("expected", text(check.expected)), ("found", text(check.found)),
      ])
    }
    let signers: [JSONValue] = signers.map {
      .object([
        ("role", .string($0.role)), ("key_id", .string($0.keyID)), ("key", .string("\($0.key)")),
      ])
    }
    let witnesses = JSONValue.object([
      ("policy", .string(witnesses.policy)), ("quorum", .string(witnesses.quorum)),
      ("have", .array(witnesses.have.map { .string($0) })),
    ])
    let rules: [JSONValue] = rules.map {
      .object([("stf_id", .string("\($0.ruleSet)")), ("from_seq", number($0.from))])
    }
    return JSONValue.object([
      ("schema", .string(Verdict.schema)), ("file", .string(name)),
      ("sha256", .string("\(sha256)")), ("network", text(network.map { "\($0)" })),
      ("first_seq", number(first)), ("last_seq", number(last)),
      ("verdict", .string(outcome.rawValue)), ("level", .string(level.rawValue)),
      ("checks", .array(checks)), ("last_good_seq", number(lastGood)),
      ("signers", .array(signers)), ("witnesses", witnesses), ("rules", .array(rules)),
      ("anchor", .string(anchor)), ("answer", .array(answer.map { .string($0) })),
    ]).text()
  }
}
