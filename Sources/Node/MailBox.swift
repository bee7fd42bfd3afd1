/// A queue many threads put into and one thread empties: the main loop of a layer's apply thread.
///
/// What one thread puts in stays in order. Putting in never waits; whoever has to be held back asks
/// `waitForRoom` first.
public final class MailBox<Letter: Sendable>: @unchecked Sendable {
  // Sound to share: every field is read and written under the monitor.
  private let monitor = Monitor()
  private let room = Monitor()
  private var letters: [Letter] = []
  private var isWaiting = false
  private var isShut = false
  /// Letters beyond which `waitForRoom` waits.
  public let capacity: Int

  public init(capacity: Int = .max) { self.capacity = capacity }

  /// Adds a letter.
  /// - Returns: false when the box is closed and the letter dropped.
  @discardableResult public func put(_ letter: Letter) -> Bool {
    monitor.lock()
    guard !isShut else {
      monitor.unlock()
      return false
    }
    letters.append(letter)
    wake()
    return true
  }

  /// Adds letters, in order and together.
  /// - Returns: false when the box is closed and the letters dropped.
  @discardableResult public func put(contentsOf more: [Letter]) -> Bool {
    monitor.lock()
    guard !isShut else {
      monitor.unlock()
      return false
    }
    if letters.isEmpty { letters = more } else { letters.append(contentsOf: more) }
    if letters.isEmpty { monitor.unlock() } else { wake() }
    return true
  }

  /// Unlocks, and wakes the reader if it sleeps.
  private func wake() {
    let isNeeded = isWaiting
    isWaiting = false
    monitor.unlock()
    if isNeeded { monitor.signal() }
  }

  /// Takes all letters; waits for the first one.
  /// - Parameter deadline: a moment of `Clock.monotonicNanoseconds` to stop waiting at.
  /// - Returns: nothing when the deadline passed, or the box is closed and empty.
  public func takeAll(until deadline: UInt64? = nil) -> [Letter] {
    monitor.lock()
    while letters.isEmpty && !isShut {
      isWaiting = true
      if let deadline {
        if !monitor.wait(until: deadline) { break }
      } else {
        monitor.wait()
      }
    }
    isWaiting = false
    let taken = letters
    letters = []
    monitor.unlock()
    if capacity != .max { room.locked { room.broadcast() } }
    return taken
  }

  /// Waits until fewer than `capacity` letters lie in the box, or it is closed.
  public func waitForRoom() {
    guard capacity != .max else { return }
    room.lock()
    // The reader broadcasts under `room` after emptying, so the check cannot miss it.
    while monitor.locked({ letters.count >= capacity && !isShut }) { room.wait() }
    room.unlock()
  }

  /// Letters waiting.
  public var count: Int { monitor.locked { letters.count } }

  /// Whether `close` was called. Letters may still lie in the box.
  public var isClosed: Bool { monitor.locked { isShut } }

  /// Refuses further letters and wakes everyone.
  public func close() {
    monitor.locked {
      isShut = true
      monitor.broadcast()
    }
    room.locked { room.broadcast() }
  }
}
