import Calibration
import Client
import Instruments
import Pricing
import Primitives
import Wire

/// `novate surface --fit`: raw SVI through the quotes of an option chain, one line an expiry.
struct SurfaceFit {
  private var panels: [SmilePicture.Panel] = []
  private(set) var hasRefused = false

  /// Every expiry of a snapshot, by underlying, in order of time: none may fall below the one before.
  /// - Returns: a line of JSON an expiry.
  mutating func fit(_ snapshot: ChainFile.Snapshot) -> [String] {
    panels = []
    var lines: [String] = []
    let rows = snapshot.rows.sorted {
      ($0.name.underlying, $0.expiry, $0.strike) < ($1.name.underlying, $1.expiry, $1.strike)
    }
    var earlier: (underlying: String, slice: SurfaceSlice)?
    var start = 0
    while start < rows.count {
      let first = rows[start]
      let underlying = first.name.underlying
      let group = rows[start...].prefix {
        $0.name.underlying == underlying && $0.expiry == first.expiry
      }
      start = group.endIndex
      let floor = earlier?.underlying == underlying ? earlier?.slice : nil
      let (line, slice) = fit(Array(group), at: snapshot.time, after: floor)
      lines.append(line)
      if let slice { earlier = (underlying, slice) }
    }
    return lines
  }

  var svg: String { SmilePicture(panels).svg }

  /// One expiry: the options out of the money that are quoted on both sides.
  private mutating func fit(
    _ rows: [ChainFile.Row], at now: Timestamp, after earlier: SurfaceSlice?
  ) -> (line: String, slice: SurfaceSlice?) {
    let (first, time) = (rows[0], rows[0].expiry.raw - now.raw)
    let quotes = rows.compactMap { row -> SmileQuote? in
      guard row.isCall == (row.strike >= row.future), let bid = row.bid, let ask = row.ask else {
        return nil
      }
      return SmileQuote(
        row.isCall ? .call : .put, forward: row.future, strike: row.strike,
        bid: row.inQuote(bid), ask: row.inQuote(ask), time: time)
    }
    let years = Double(time) / Double(Timestamp.millisecondsPerYear)
    let parts = first.name.description.split(separator: "-")
    let name = parts.prefix(2).joined(separator: "-")
    var line: [(key: String, value: JSONValue)] = [
      ("id", .string(name)), ("timestamp_ms", .string(String(now.raw))),
      ("time_ms", .string(String(time))),
      ("forward", .string(DecimalText.format(first.future.raw, digits: 8))),
      ("quotes", .string(String(quotes.count))),
    ]
    var (note, slice): (String, SurfaceSlice?)
    do throws(SmileFit.Failure) {
      let fit = try SmileFit(quotes, years: years, after: earlier)
      let error = decimal(fit.error)
      line += parameters(fit.slice)
      line += [
        ("rms_vol", .string(error)), ("inside", .string(String(fit.insideCount))),
        ("arbitrage_free", true),
      ]
      (note, slice) = ("rms \(error), \(fit.insideCount) of \(quotes.count) inside", fit.slice)
    } catch {
      hasRefused = true
      line += refusal(error)
      (note, slice) = ("refused: \(error)", nil)
    }
    panels.append(
      SmilePicture.Panel(title: name, note: note, quotes: quotes, slice: slice, years: years))
    return (JSONValue.object(line).text(), slice)
  }

  private func parameters(_ slice: SurfaceSlice) -> [(key: String, value: JSONValue)] {
    func text(_ value: Int64) -> JSONValue { .string(DecimalText.format(value, digits: 12)) }
    return [
      ("a", text(slice.a)), ("b", text(slice.b)), ("rho", text(slice.rho)), ("m", text(slice.m)),
      ("sigma", text(slice.sigma)),
    ]
  }

  private func refusal(_ failure: SmileFit.Failure) -> [(key: String, value: JSONValue)] {
    switch failure {
    case .tooFewQuotes:
      return [
        (
          "error",
          ["code": "too_few_quotes", "message": .string("\(failure)")]
        )
      ]
    case .refused(let slice, let violation):
      let place = violation.logMoneyness?.scaled(digits: 8).map {
        JSONValue.string(DecimalText.format($0, digits: 8))
      }
      return parameters(slice) + [
        (
          "error",
          [
            "code": "arbitrage", "message": .string("\(failure)"),
            "reason": .string(violation.reason.rawValue), "at_k": place ?? .null,
          ]
        )
      ]
    }
  }

  private func decimal(_ value: Double) -> String {
    DecimalText.format(Int64((value * 1e6).rounded()), digits: 6, minimumFraction: 6)
  }
}

extension ChainFile.Row {
  /// A price in coin as one in the quote asset: times the future, to the nearest 1e-8.
  func inQuote(_ coin: Price) -> Price {
    let product = (Int128(coin.raw) * Int128(future.raw))
      .divided(by: 100_000_000, rounding: .nearestEven)
    return Price(raw: Int64(clamping: product))
  }
}
