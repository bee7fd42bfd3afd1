import Primitives

/// What one contract adds to the charges beside the scan, in price units (1e-8).
///
/// Every charge is convex in the quantity and nothing for none: two parts together are never charged
/// more than apart. So execution covers open orders by charging each for itself.
struct UnitCharges: Sendable {
  enum Kind: Sendable { case contract, option, collateral }

  /// The delta minimum of a contract whose delta lies on the heavier side of its book, and of one on
  /// the lighter side: then mostly a relief, below zero. lead + trail ≥ 0.
  private(set) var lead: Int64 = 0
  private(set) var trail: Int64 = 0
  /// Whether it loses when the underlying rises.
  private(set) var falls = false
  private(set) var kind = Kind.contract
  /// Of an option short in its contract.
  private(set) var short: Int64 = 0
  /// What the tilt of its expiry's forward moves its value by; nothing at the front.
  private(set) var basis: Int64 = 0
  /// Tells expiries apart.
  private(set) var expiry: Int64 = 0
  /// Of a doubtful price, on initial margin alone.
  private(set) var doubt: Int64 = 0

  static let none = UnitCharges()
  private init() {}

  /// - Parameters:
  ///   - delta: of one contract in the underlying, 1e-12.
  ///   - spot: what one unit of delta is worth.
  init(_ kind: Kind, delta: Int64, spot: Price, _ minimum: MinimumCharge) {
    self.kind = kind
    falls = delta < 0
    // Below 2^41 · 2^63.
    let exposure = (Int128(delta.magnitude) * Int128(spot.raw))
      .divided(by: 1_000_000_000_000, rounding: .up)
    func share(_ amount: Int128, _ ratio: Int64) -> Int64 {
      Int64(
        clamping: (amount * Int128(ratio)).divided(by: Int128(Ratio.scale), rounding: .up))
    }
    lead = share(exposure, minimum.netDelta.raw)
    trail = share(exposure, minimum.hedgedDelta.raw - minimum.netDelta.raw)
    if kind == .option { short = share(Int128(spot.raw), minimum.shortOption.raw) }
  }

  /// Adds the tilt of a forward that is not the front one, `forward` being what of it moves.
  mutating func tilt(
    _ shock: BasisShock, delta: Int64, forward: Price, time: Int64, expiry: Int64
  ) {
    // 1e-12; the multiple is at most 1e12 and the time 3.2e11.
    let grown = (Int128(shock.multiple.raw) * 1_000 * Int128(time))
      .divided(by: Int128(Timestamp.millisecondsPerYear), rounding: .up)
    let factor = Int128(shock.add.raw) * 1_000 + grown
    let moved = (Int128(forward.raw) * factor)
      .divided(by: 1_000_000_000_000, rounding: .up)
    basis = Int64(
      clamping: (moved * Int128(delta)).divided(by: 1_000_000_000_000, rounding: .nearestEven))
    self.expiry = expiry
  }

  /// Adds the charge for a price of less than the wanted confidence.
  mutating func doubt(_ charge: ConfidenceCharge, confidence: Ratio, spot: Price) {
    let gap = charge.threshold.raw - confidence.raw
    guard gap > 0, charge.factor.raw > 0 else { return }
    let missing = (Int128(spot.raw) * Int128(gap))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    // Below 2^63 · 2^63.
    doubt = Int64(
      clamping: (missing * Int128(charge.factor.raw))
        .divided(by: Int128(Ratio.scale), rounding: .up))
  }

  var all: [Int64] { [lead, trail, short, basis, doubt] }

  /// At least what may change of a contract's charges together.
  func drift(from old: UnitCharges) -> Int128 {
    guard kind == old.kind, falls == old.falls, expiry == old.expiry || old.basis == 0 || basis == 0
    else { return Int128(Int64.max) }
    func gap(_ a: Int64, _ b: Int64) -> Int128 { Int128((Int128(a) - Int128(b)).magnitude) }
    return max(gap(lead, old.lead), gap(trail, old.trail)) + gap(short, old.short)
      + gap(basis, old.basis) + gap(doubt, old.doubt)
  }

  // MARK: - A quantity's charges, in notional units

  /// What a position adds to the two sums whose greater is the delta minimum: longs leading, shorts
  /// leading.
  @inline(__always)
  func delta(_ quantity: Int64) -> (rising: Int128, falling: Int128) {
    let size = Int128(quantity.magnitude)
    let (own, other) = (size &* Int128(lead), size &* Int128(trail))
    return (quantity > 0) != falls ? (own, other) : (other, own)
  }

  @inline(__always)
  func short(_ quantity: Int64) -> Int128 {
    quantity < 0 ? Int128(quantity.magnitude) &* Int128(short) : 0
  }

  /// What is charged for itself alone, without netting.
  @inline(__always)
  func gross(_ quantity: Int64) -> Int128 {
    Int128(quantity.magnitude) &* (Int128(basis.magnitude) &+ Int128(doubt))
  }
}

/// The charges of one book, summed exactly in notional units (1e-16). Bound: a charge is at most a
/// few times its contract's value, so what holds for `ScenarioSums` holds here.
struct ChargeTotals: Sendable {
  private var all = (rising: Int128(0), falling: Int128(0))
  /// Of what owes alone: contracts, and options that are short.
  private var owed = (rising: Int128(0), falling: Int128(0))
  private(set) var short: Int128 = 0
  /// Value of options and collateral held.
  private(set) var held: Int128 = 0
  private(set) var owes = false
  private(set) var doubt: Int128 = 0

  @inline(__always)
  mutating func add(_ charges: UnitCharges, _ quantity: Quantity, mark: Price) {
    let delta = charges.delta(quantity.raw)
    doubt &+= Int128(quantity.raw.magnitude) &* Int128(charges.doubt)
    all.rising &+= delta.rising
    all.falling &+= delta.falling
    if charges.kind == .contract || quantity.isNegative {
      owes = true
      owed.rising &+= delta.rising
      owed.falling &+= delta.falling
      short &+= charges.short(quantity.raw)
    } else {
      held &+= Int128(quantity.raw) &* Int128(mark.raw)
    }
  }

  /// The delta minimum before what is held is let go.
  var deltaTerm: Int128 { max(0, all.rising, all.falling) }

  /// Who holds may let go: what is held adds no more to the charge than it is worth.
  var deltaMinimum: Int128 { min(deltaTerm, max(0, owed.rising, owed.falling) + held) }
}

/// What the tilts of forwards would move one book by, expiry by expiry, in notional units.
struct TiltSums: Sendable {
  private var entries: [(expiry: Int64, sum: Int128)] = []

  mutating func clear() {
    if !entries.isEmpty { entries.removeAll(keepingCapacity: true) }
  }

  @inline(__always)
  mutating func add(_ charges: UnitCharges, _ quantity: Quantity) {
    guard charges.basis != 0 else { return }
    let moved = Int128(quantity.raw) &* Int128(charges.basis)
    for place in entries.indices where entries[place].expiry == charges.expiry {
      entries[place].sum &+= moved
      return
    }
    entries.append((charges.expiry, moved))
  }

  /// Each expiry moves against the book.
  var total: Int128 {
    var sum: Int128 = 0
    for entry in entries { sum += entry.sum < 0 ? 0 - entry.sum : entry.sum }
    return sum
  }
}
