import Client
import Instruments
import Primitives
import Wire

/// The outside market of a storm: where price and volatility stand, step by step.
struct StormPath: Sendable {
  struct Point: Hashable, Sendable {
    let price: Int64
    let volatility: Int64
  }

  let name: String
  let start: Timestamp
  let points: [Point]

  /// A day of no meaning, for what was not recorded.
  static let epoch = Timestamp(raw: 1_735_689_600_000)
  /// Where the made paths begin.
  static let firstPrice: Int64 = 50_000 * Price.scale

  // MARK: - Files

  /// Steps between two snapshots of a chain, and rows of bars to a step: time is pressed, so that a
  /// crash of days passes in a day of steps.
  static let stepsOfGap = 24
  static let rowsOfStep = 12
  private static let byteCountMax = 64 << 20

  init(file path: String, _ parameters: StormParameters) throws {
    var bytes = try Files.read(path, byteCountMax: StormPath.byteCountMax)
    if Gzip.isCompressed(bytes) {
      bytes = try Gzip.contents(of: bytes, byteCountMax: StormPath.byteCountMax)
    }
    let header = bytes.prefix { $0 != UInt8(ascii: "\n") }
    let columns = header.split(separator: UInt8(ascii: ",")).map {
      String(decoding: $0, as: UTF8.self)
    }
    if columns.contains("instrument_name") {
      try self.init(chain: bytes, path)
    } else {
      try self.init(bars: bytes, columns, path, parameters)
    }
  }

  /// Every so many closes of BTC; volatility rises with the fall since the start.
  private init(
    bars bytes: [UInt8], _ columns: [String], _ path: String, _ parameters: StormParameters
  ) throws {
    guard let close = columns.firstIndex(of: "btc_close"),
      let time = columns.firstIndex(of: "timestamp_ms")
    else { throw CommandFailure("\(path): expected columns timestamp_ms and btc_close") }
    var prices: [Int64] = []
    var first = Timestamp.zero
    let rows = bytes.split(separator: UInt8(ascii: "\n")).dropFirst()
    for (place, row) in rows.enumerated() where place % StormPath.rowsOfStep == 0 {
      let fields = row.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
      guard fields.count == columns.count else {
        throw CommandFailure("\(path): row \(place + 2) has \(fields.count) fields")
      }
      prices.append(try DecimalText.parse(Array(fields[close]), digits: 8))
      if place == 0 {
        first = Timestamp(raw: try DecimalText.parse(Array(fields[time]), digits: 0))
      }
    }
    guard prices.count > 1, prices.allSatisfy({ $0 > 0 }) else {
      throw CommandFailure("\(path): expected closes above 0")
    }
    name = "every \(StormPath.rowsOfStep)th of \(rows.count) closes of BTC"
    start = first
    points = prices.map { price in
      let fall = max(0, prices[0] - price)
      let rise = Int128(parameters.volatility.raw) * Int128(fall * parameters.volatilityRise)
      return Point(
        price: price, volatility: parameters.volatility.raw + Int64(rise / Int128(prices[0])))
    }
  }

  /// BTC's index of each snapshot of a chain and the volatility at the money of one expiry, with
  /// straight lines between.
  private init(chain bytes: [UInt8], _ path: String) throws {
    let file = try ChainFile(bytes)
    let underlying = "BTC"
    let start = file.snapshots[0].time
    let month: Int64 = 30 * 86_400_000
    let expiries = Set(
      file.snapshots[0].rows.filter { $0.name.underlying == underlying }.map(\.expiry)
    ).sorted { ($0.raw - start.raw - month).magnitude < ($1.raw - start.raw - month).magnitude }
    guard let expiry = expiries.first else { throw CommandFailure("\(path): no options on BTC") }
    var snapshots: [Point] = []
    for snapshot in file.snapshots {
      let rows = snapshot.rows.filter { $0.name.underlying == underlying }
      let index = rows.map(\.index.raw).sorted()
      let chain = rows.filter { $0.expiry == expiry }
      guard
        let nearest = chain.min(by: {
          ($0.strike.raw - $0.future.raw).magnitude < ($1.strike.raw - $1.future.raw).magnitude
        })
      else { throw CommandFailure("\(path): a snapshot without the expiry of the first") }
      snapshots.append(
        Point(price: index[index.count / 2], volatility: nearest.markVolatility.raw))
    }
    name =
      "BTC of \(snapshots.count) option chains, \(StormPath.stepsOfGap) steps from one to the next"
    self.start = start
    points = StormPath.lines(snapshots, StormPath.stepsOfGap)
  }

  /// A piece of a path.
  init(_ whole: StormPath, first: Int, count: Int) {
    name = whole.name
    start = whole.start
    points = Array(whole.points.dropFirst(first).prefix(count))
  }

  private static func lines(_ points: [Point], _ steps: Int) -> [Point] {
    var out = [points[0]]
    for (from, to) in zip(points, points.dropFirst()) {
      for step in 1...steps {
        out.append(StormPath.between(from, to, Int64(step), Int64(steps)))
      }
    }
    return out
  }

  private static func between(_ from: Point, _ to: Point, _ part: Int64, _ whole: Int64) -> Point {
    func line(_ a: Int64, _ b: Int64) -> Int64 {
      a + Int64(Int128(b - a) * Int128(part) / Int128(whole))
    }
    return Point(
      price: line(from.price, to.price), volatility: line(from.volatility, to.volatility))
  }

  // MARK: - Made paths

  /// A move at once, in millionths, after some calm, and calm after it. Volatility rises with it, at
  /// most as far as 0.8 of the scenarios' shock.
  init(step move: Int64, _ parameters: StormParameters, calm: Int = 40) {
    name = "one step of \(Share.text(move))"
    start = StormPath.epoch
    let first = parameters.volatility.raw
    let shock = min(320_000, Int64(move.magnitude) * 5 / 2)
    let before = Point(price: StormPath.firstPrice, volatility: first)
    let after = Point(
      price: Share.of(StormPath.firstPrice, Share.whole + move),
      volatility: Share.of(first, Share.whole + shock))
    points = Array(repeating: before, count: 3) + Array(repeating: after, count: calm)
  }

  /// A row of the shock library of quant.md 5.1: moves one after the other, each in so many steps of
  /// three minutes, and what volatility is multiplied by over the first.
  struct Shock: Sendable {
    let name: String
    let legs: [(move: Int64, steps: Int)]
    let volatility: Int64
  }

  static let shocks: [Shock] = [
    Shock(name: "1987-10-19", legs: [(-226_000, 130)], volatility: 4_130_000),
    Shock(name: "2018-02-05", legs: [(-40_000, 130)], volatility: 2_160_000),
    Shock(name: "2020-03-12", legs: [(-280_000, 10), (-319_000, 300)], volatility: 2_000_000),
    Shock(name: "2021-05-19", legs: [(-300_000, 300), (330_000, 100)], volatility: 1_000_000),
    Shock(name: "2022-03-08", legs: [(2_700_000, 400)], volatility: 1_000_000),
    Shock(name: "2022-11-08", legs: [(-250_000, 480)], volatility: 2_600_000),
    Shock(name: "2024-08-05", legs: [(-150_000, 100)], volatility: 2_800_000),
    Shock(name: "2025-10-10", legs: [(-169_000, 60)], volatility: 1_000_000),
  ]

  init(_ shock: Shock, _ parameters: StormParameters) {
    name = shock.name
    start = StormPath.epoch
    let first = Point(price: StormPath.firstPrice, volatility: parameters.volatility.raw)
    var points = [first, first]
    for leg in shock.legs {
      let from = points[points.count - 1]
      let to = Point(
        price: Share.of(from.price, Share.whole + leg.move),
        volatility: Share.of(first.volatility, shock.volatility))
      for step in 1...leg.steps {
        points.append(StormPath.between(from, to, Int64(step), Int64(leg.steps)))
      }
    }
    self.points = points + Array(repeating: points[points.count - 1], count: 40)
  }
}

extension Share {
  /// Millionths as per cent with a sign: `-12.8 %`.
  static func text(_ millionths: Int64) -> String {
    let sign = millionths < 0 ? "-" : "+"
    let size = Int64(millionths.magnitude)
    return "\(sign)\(DecimalText.format(size / 1_000, digits: 1, minimumFraction: 1)) %"
  }
}
