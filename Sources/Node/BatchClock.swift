public import Primitives

/// Batch time from the system's clock, for the one layer that reads it. The time that has really
/// passed since the start decides; the system's clock may lead or trail that by a margin, however it
/// jumps. A clock that was set right for good is followed after a restart.
public struct BatchClock: Sendable {
  private let startTime: Timestamp
  private let startedAt: UInt64
  private let margin: Int64

  /// - Parameters:
  ///   - time: what the system's clock says at the start.
  ///   - monotonic: nanoseconds of the monotonic clock then.
  ///   - margin: milliseconds.
  public init(time: Timestamp, monotonic: UInt64, margin: Int64) {
    startTime = time
    startedAt = monotonic
    self.margin = margin
  }

  /// What the system's clock says, held to the margin.
  public func time(_ wall: Timestamp, monotonic: UInt64) -> Timestamp {
    let passed = Int64((monotonic &- startedAt) / 1_000_000)
    let expected = startTime.raw + passed
    return Timestamp(raw: min(max(wall.raw, expected - margin), expected + margin))
  }
}
