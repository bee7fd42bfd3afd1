public import Primitives

/// A publisher's forward and surface of one expiry: two records.
public struct SurfaceUpdate: Sendable, Equatable {
  public var underlying: UnderlyingID
  public var expiry: Timestamp
  public var forward: Price
  public var parameters: SurfaceParameters
  public var time: Timestamp
  public var sequence: UInt64

  public init(
    underlying: UnderlyingID, expiry: Timestamp, forward: Price, parameters: SurfaceParameters,
    time: Timestamp, sequence: UInt64
  ) {
    self.underlying = underlying
    self.expiry = expiry
    self.forward = forward
    self.parameters = parameters
    self.time = time
    self.sequence = sequence
  }

  /// Reads the records at `offset`; the bundle they come from has been checked.
  public init(_ bytes: RawSpan, at offset: Int) {
    let head = ActionRecord(bytes, at: offset)
    underlying = UnderlyingID(UInt16(truncatingIfNeeded: head.id))
    expiry = Timestamp(raw: head.x)
    time = Timestamp(raw: head.y)
    sequence = head.z
    forward = Price(raw: bytes.load(at: offset + 32))
    parameters = SurfaceParameters(
      a: bytes.load(at: offset + 40), b: bytes.load(at: offset + 48),
      rho: bytes.load(at: offset + 56), m: bytes.load(at: offset + 64),
      sigma: bytes.load(at: offset + 72))
  }

  func write(to out: inout ByteWriter) {
    out.write(ActionKind.surface.rawValue)
    out.pad(3)
    out.write(UInt32(underlying.raw))
    out.write(expiry)
    out.write(time)
    out.write(sequence)
    out.write(forward)
    out.write(record: parameters)
    out.pad(48)
  }

  /// Whether the numbers are those of a surface at all: a positive forward, |rho| < 1, b ≥ 0,
  /// sigma of at least 1e-6, wings within Lee's bound b(1+|rho|) ≤ 2, |m| ≤ 4 and |a| ≤ 4.
  /// Static arbitrage is clearing's to judge.
  public var isInDomain: Bool {
    let one: Int64 = 1_000_000_000_000
    let p = parameters
    guard forward.raw > 0, p.b >= 0, p.b <= 2 * one, p.rho > -one, p.rho < one,
      p.sigma >= 1_000_000, p.sigma <= 4 * one, p.m >= -4 * one, p.m <= 4 * one, p.a >= -4 * one,
      p.a <= 4 * one
    else { return false }
    let steepness = Int128(p.b) * Int128(one + (p.rho < 0 ? -p.rho : p.rho))
    return steepness <= 2 * Int128(one) * Int128(one)
  }
}
