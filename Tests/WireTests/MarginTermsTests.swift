import Instruments
import Primitives
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
    for terms in [MarginTerms.novate32, few] {
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
      (#""from":"0.05""#, #""from":"-1""#), (#""concentration":["#, #""concentration":[{},"#),
    ])
  func refusals(old: String, new: String) throws {
    let text = MarginTerms.novate32.jsonValue.text()
    let changed = text.replacing(old, with: new, maxReplacements: 1)
    #expect(changed != text, "\(old) stands in the text")
    #expect(throws: MarginTermsFailure.self) { try Self.parsed(changed) }
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
