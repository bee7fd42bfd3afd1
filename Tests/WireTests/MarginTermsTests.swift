import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@Suite("Margin terms as JSON") struct MarginTermsTests {
  private static func parsed(_ text: String) throws -> MarginTerms {
    try MarginTerms(try JSONValue.parse(Array(text.utf8)))
  }

  @Test("what is written is read again, with fewer scenarios and slopes too")
  func round() throws {
    var few = MarginTerms.novate32
    few.scenarioCount = 28
    for place in 28..<32 { few.scenarios[place] = .empty }
    few.slopes[2] = .empty
    few.lambda = Ratio(raw: 123_456_789)
    var many = TestWorld.collateral()
    many.collaterals[15] = many.collaterals[1]
    many.collaterals[15].underlyingPlace = 65_535
    var span = MarginTerms.span16
    span.lookahead = 3_600_001
    span.collaterals = many.collaterals
    for terms in [MarginTerms.novate32, few, many, MarginTerms.span16, span] {
      #expect(terms.fault == nil)
      #expect(try Self.parsed(terms.jsonValue.text()) == terms)
    }
  }

  @Test(
    "every field must be there, known, and within its domain",
    arguments: [
      (#""lambda":"0""#, #""lambda":"1.1""#), (#""lambda":"0""#, #""lamda":"0""#),
      (#""lambda":"0","#, ""), (#""lambda":"0""#, #""lambda":0"#),
      (#""method":"novate-32""#, #""method":"span-16""#),
      (#""vol":"up""#, #""vol":"linear""#), (#""dampening":"0.24""#, #""dampening":"-1""#),
      (#""dampening":"0.24""#, #""dampening":"1.5""#), (#""mm_factor":"0.8""#, #""mm_factor":"0""#),
      (#""hedged_delta":"0.01""#, #""hedged_delta":"0.05""#),
      (#""im_factor":"1""#, #""im_factor":"1.1""#),
      (#""minimum":{"#, #""minimum":{"more":"1","#),
      (#""lambda":"0""#, #""lambda":"0","lookahead_ms":"0""#),
      (#""from":"0.05""#, #""from":"-1""#), (#""concentration":["#, #""concentration":[{},"#),
    ])
  func refusals(old: String, new: String) throws {
    let text = MarginTerms.novate32.jsonValue.text()
    let changed = text.replacing(old, with: new, maxReplacements: 1)
    #expect(changed != text, "\(old) stands in the text")
    #expect(throws: MarginTermsFailure.self) { try Self.parsed(changed) }
  }

  @Test(
    "of span-16 every field must be there, and no other method's",
    arguments: [
      (#""method":"span-16""#, #""method":"cross""#),
      (#""method":"span-16""#, #""method":"novate-32""#),
      (#""lookahead_ms":"86400000","#, ""),
      (#""lookahead_ms":"86400000""#, #""lookahead_ms":"1.5""#),
      (#""lookahead_ms":"86400000""#, #""lookahead_ms":86400000"#),
      (#""lookahead_ms":"86400000""#, #""lookahead_ms":"31536000001""#),
      (#""price_scan_ratio":"0.15","#, ""),
      (#""price_scan_ratio":"0.15""#, #""price_scan_ratio":"0""#),
      (#""price_scan_ratio":"0.15""#, #""price_scan_range":"1""#),
      (#""extreme_multiple":"3""#, #""extreme_multiple":"34""#),
      (#""short_option_minimum":"0.005""#, #""minimum":{}"#),
      (#""lambda":"0""#, #""lambda":"0","scenarios":[]"#),
    ])
  func span(old: String, new: String) throws {
    let text = MarginTerms.span16.jsonValue.text()
    let changed = text.replacing(old, with: new, maxReplacements: 1)
    #expect(changed != text, "\(old) stands in the text")
    #expect(throws: MarginTermsFailure.self) { try Self.parsed(changed) }
  }

  @Test(
    "an asset of collateral must be one, once, within its domain",
    arguments: [
      (#""asset":"1""#, #""asset":"0""#), (#""asset":"1""#, #""asset":"16""#),
      (#""asset":"1""#, #""asset":"01""#), (#""underlying":"0""#, #""underlying":"65535""#),
      (#""haircut":"0.05""#, #""haircut":"0.48""#), (#""haircut":"0.05""#, #""haircut":"-0.1""#),
      (#""haircut":"0.05""#, #""haircut":"4.3""#), (#""ageing_s":"100""#, #""ageing_s":"0""#),
      (#""cap_start":"6000000000""#, #""cap_start":"90000000001""#),
      (#""account_max":"400000000""#, #""account_max":"-1""#),
      (#""account_max":"400000000""#, #""account_max":400000000"#),
      (#""listed_ms":""#, #""listed_ms":"-"#), (#""ageing_s":"100""#, #""ageing":"100""#),
      (#""collateral":["#, #""collateral":[{},"#), (#""interest":"1""#, #""interest":"1.1""#),
      (#""interest":"1""#, #""interest":"-0.1""#),
    ])
  func collateral(old: String, new: String) throws {
    let text = TestWorld.collateral().jsonValue.text()
    let changed = text.replacing(old, with: new, maxReplacements: 1)
    #expect(changed != text, "\(old) stands in the text")
    #expect(throws: MarginTermsFailure.self) { try Self.parsed(changed) }
    let start = try #require(text.firstRange(of: #"{"asset""#)).lowerBound
    let twice = text.dropLast(2) + "," + text[start...]
    #expect(throws: MarginTermsFailure.self) { try Self.parsed(String(twice)) }
  }

  @Test("the quote asset, and a record with a share of nothing, are a fault")
  func entries() {
    var terms = TestWorld.collateral()
    #expect(terms.fault == nil && terms.takesCollateral && terms.fits(assets: 2, underlyings: 1))
    #expect(!terms.fits(assets: 1, underlyings: 1) && !terms.fits(assets: 2, underlyings: 0))
    terms.collaterals[0] = terms.collaterals[1]
    #expect(terms.fault != nil)
    terms = TestWorld.collateral()
    terms.collaterals[1].underlyingPlace = 0
    #expect(terms.fault != nil)
    #expect(!MarginTerms.novate32.takesCollateral)
  }

  @Test(
    "what all may hold grows with age",
    arguments: [(-5, 100), (0, 100), (1, 109), (50_000, 500_050), (100_000, 1_000_000)]
      as [(Int64, Int64)])
  func cap(age: Int64, most: Int64) {
    var terms = TestWorld.collateral().collaterals[1]
    (terms.capStart, terms.capEnd) = (Amount(raw: 100), Amount(raw: 1_000_000))
    #expect(terms.cap(at: Timestamp(raw: terms.listed.raw + age)).raw == most)
  }

  @Test("terms with a fault stand in no action, no Clearance and no genesis")
  func faults() throws {
    var bad = MarginTerms.novate32
    bad.initialFactor = Ratio(raw: 2 * Ratio.scale)
    #expect(throws: DecodingFailure.self) { try Action.margin(bad).validate() }
    try Action.margin(.novate32).validate()
    var body = ClearanceBody()
    body.margin = [bad]
    #expect(throws: DecodingFailure.self) { try ClearanceBody(encoded: body.encoded.rawSpan) }
    body.margin = [.novate32, .novate32]
    #expect(throws: DecodingFailure.self) { try ClearanceBody(encoded: body.encoded.rawSpan) }
    body.margin = [.novate32]
    let same = try ClearanceBody(encoded: body.encoded.rawSpan)
    #expect(same == body)
  }
}
