import Wire

/// A figure of a benchmark as decimal text; what is beyond every scale is 0.
func fixed(_ value: Double, _ digits: Int) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = (value * scale).rounded()
  guard scaled.magnitude < 9e18 else { return "0" }
  return DecimalText.format(Int64(scaled), digits: digits, minimumFraction: digits)
}

/// The same as a number of JSON.
func number(_ value: Double, _ digits: Int) -> JSONValue { .number(fixed(value, digits)) }
