public import Pricing

/// Quotes and the smile through them as an SVG, one panel an expiry.
public struct SmilePicture: Sendable {
  /// One expiry.
  public struct Panel: Sendable {
    let title: String
    let note: String
    let quotes: [SmileQuote]
    let slice: SurfaceSlice?
    let years: Double

    /// - Parameters:
    ///   - note: a second line: how good the fit is, or why there is none.
    ///   - slice: nil where the fit was refused.
    public init(
      title: String, note: String, quotes: [SmileQuote], slice: SurfaceSlice?, years: Double
    ) {
      self.title = title
      self.note = note
      self.quotes = quotes
      self.slice = slice
      self.years = years
    }
  }

  private let panels: [Panel]
  private let columns = 4
  private let width = 300.0
  private let height = 200.0
  private let margin = 34.0

  public init(_ panels: [Panel]) { self.panels = panels }

  /// The whole file.
  public var svg: String {
    let rows = (panels.count + columns - 1) / columns
    let (across, down) = (width * Double(min(columns, max(panels.count, 1))), height * Double(rows))
    var parts = [
      #"<svg xmlns="http://www.w3.org/2000/svg" width="\#(text(across))" height="\#(text(down))" "#
        + #"font-family="sans-serif" font-size="10">"#,
      #"<rect width="100%" height="100%" fill="white"/>"#,
    ]
    for (index, panel) in panels.enumerated() {
      let x = Double(index % columns) * width
      let y = Double(index / columns) * height
      parts.append(#"<g transform="translate(\#(text(x)),\#(text(y)))">"#)
      parts += body(panel)
      parts.append("</g>")
    }
    parts.append("</svg>\n")
    return parts.joined(separator: "\n")
  }

  private func body(_ panel: Panel) -> [String] {
    var parts = [
      #"<text x="\#(text(margin))" y="13" font-weight="bold">\#(escaped(panel.title))</text>"#,
      #"<text x="\#(text(margin))" y="25" fill="dimgray">\#(escaped(panel.note))</text>"#,
    ]
    guard let first = panel.quotes.first else { return parts }
    let (left, right) = panel.quotes.reduce((first.logMoneyness, first.logMoneyness)) {
      (min($0.0, $1.logMoneyness), max($0.1, $1.logMoneyness))
    }
    let (low, high) = panel.quotes.reduce((first.bid, first.ask)) {
      (min($0.0, $1.bid), max($0.1, $1.ask))
    }
    let (spanX, spanY) = (max(right - left, 1e-6), max(high - low, 1e-6))
    func x(_ k: Double) -> Double { margin + (k - left) / spanX * (width - margin - 10) }
    func y(_ volatility: Double) -> Double {
      let held = min(max(volatility, low - spanY), high + spanY)
      return height - 20 - (held - low) / spanY * (height - 56)
    }
    parts.append(
      #"<path d="M\#(text(margin)) 34V\#(text(height - 18))H\#(text(width - 8))" fill="none" "#
        + #"stroke="silver"/>"#)
    for volatility in [low, high] {
      parts.append(
        #"<text x="\#(text(margin - 3))" y="\#(text(y(volatility) + 3))" text-anchor="end">"#
          + "\(text(volatility * 100))%</text>")
    }
    for k in [left, right] {
      parts.append(
        #"<text x="\#(text(x(k)))" y="\#(text(height - 7))" text-anchor="\#(k == left ? "start" : "end")">"#
          + "k=\(text(k, 2))</text>")
    }
    for quote in panel.quotes {
      let place = text(x(quote.logMoneyness))
      parts.append(
        #"<path d="M\#(place) \#(text(y(quote.bid)))V\#(text(y(quote.ask)))" stroke="gray" "#
          + #"stroke-width="2"/>"#)
    }
    if let slice = panel.slice {
      let model = RawSVI(slice)
      let points = (0...80).map { step in
        let k = left + spanX * Double(step) / 80
        let volatility = (max(model.totalVariance(k), 0) / panel.years).squareRoot()
        return "\(text(x(k))),\(text(y(volatility)))"
      }
      parts.append(
        #"<polyline points="\#(points.joined(separator: " "))" fill="none" stroke="crimson"/>"#)
    }
    return parts
  }

  /// To so many places, without a locale.
  private func text(_ value: Double, _ places: Int = 1) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let units = Int64((value * scale).rounded())
    let size = units.magnitude
    let whole = size / UInt64(scale)
    let part = String(size % UInt64(scale))
    let fraction = String(repeating: "0", count: places - part.utf8.count) + part
    return "\(units < 0 ? "-" : "")\(whole).\(fraction)"
  }

  private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
  }
}
