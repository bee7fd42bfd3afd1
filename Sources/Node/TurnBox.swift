/// A queue emptied by one thread at a time: its owner, or whoever brings a letter and finds nobody
/// at it.
///
/// Waking a thread costs more than most of what is done here, and who brings a letter is awake
/// already. So a bringer may *leave* letters without waking anyone and then *visit*: take the turn
/// if it is free, and work in the owner's stead. Who finds the turn taken goes its way: its holder
/// looks again before giving it back. What only the owner does, or must not wait, is *put*.
public final class TurnBox<Letter: Sendable>: @unchecked Sendable {
  // Sound to share: every field is read and written under the monitor.
  private let monitor = Monitor()
  private let room = Monitor()
  private var letters: [Letter] = []
  /// When the first of the letters came.
  private var oldest: UInt64 = 0
  private var isTurnTaken = false
  private var isOwnersTurn = false
  private var isOwnerWaiting = false
  private var isOwnerCalled = false
  private var ownerDeadline = UInt64.max
  private var isShut = false
  /// Letters beyond which `waitForRoom` waits.
  public let capacity: Int

  public init(capacity: Int) { self.capacity = capacity }

  // MARK: - Bringing

  /// Adds a letter and sees that the owner comes.
  /// - Returns: false when the box is closed and the letter dropped.
  @discardableResult public func put(_ letter: Letter) -> Bool {
    let isOpen = leave(contentsOf: CollectionOfOne(letter))
    call()
    return isOpen
  }

  /// Adds letters, in order and together, and wakes nobody: the caller must `visit` or `call`.
  /// - Returns: false when the box is closed and the letters dropped.
  @discardableResult public func leave(contentsOf more: some Collection<Letter>) -> Bool {
    monitor.locked {
      guard !isShut else { return false }
      if letters.isEmpty { oldest = Clock.monotonicNanoseconds }
      letters.append(contentsOf: more)
      return true
    }
  }

  /// Sees that the owner takes the next turn.
  public func call() {
    monitor.lock()
    isOwnerCalled = true
    unlockAndWake()
  }

  /// Sees that the owner does not sleep past a moment.
  public func call(by deadline: UInt64) {
    monitor.lock()
    guard deadline < ownerDeadline else { return monitor.unlock() }
    ownerDeadline = deadline
    let isNeeded = isOwnerWaiting
    monitor.unlock()
    if isNeeded { monitor.signal() }
  }

  /// Takes the turn if it is free, and empties the box, at most `rounds` times.
  /// - Returns: false when another has the turn.
  @discardableResult public func visit(rounds: Int, _ body: ([Letter]) -> Void) -> Bool {
    monitor.lock()
    guard !isTurnTaken else {
      monitor.unlock()
      return false
    }
    isTurnTaken = true
    var round = 0
    while round < rounds, !letters.isEmpty {
      let taken = takeLetters()
      monitor.unlock()
      room.locked { room.broadcast() }
      body(taken)
      monitor.lock()
      round += 1
    }
    isTurnTaken = false
    if !letters.isEmpty { isOwnerCalled = true }
    unlockAndWake()
    return true
  }

  /// Unlocks, and wakes the owner if it sleeps, is called, and may have the turn.
  private func unlockAndWake() {
    let isNeeded = isOwnerWaiting && isOwnerCalled && !isTurnTaken
    monitor.unlock()
    if isNeeded { monitor.signal() }
  }

  private func takeLetters() -> [Letter] {
    let taken = letters
    letters = []
    return taken
  }

  // MARK: - The owner

  /// Gives back the owner's turn and waits for the next: for letters, a call, or the deadline.
  /// The owner has the turn from this call's return to the next call.
  /// - Parameter deadline: a moment of `Clock.monotonicNanoseconds`.
  /// - Returns: all letters; none when the deadline passed, or the box is closed and empty.
  public func takeTurn(until deadline: UInt64 = .max) -> [Letter] {
    monitor.lock()
    if isOwnersTurn { isTurnTaken = false }
    isOwnersTurn = false
    ownerDeadline = deadline
    while isTurnTaken || (letters.isEmpty && !isOwnerCalled && !isShut) {
      isOwnerWaiting = true
      if ownerDeadline == .max || isOwnerCalled {
        monitor.wait()
      } else if !monitor.wait(until: ownerDeadline) {
        isOwnerCalled = true
      }
    }
    isOwnerWaiting = false
    isOwnerCalled = false
    ownerDeadline = .max
    isTurnTaken = true
    isOwnersTurn = true
    let taken = takeLetters()
    monitor.unlock()
    room.locked { room.broadcast() }
    return taken
  }

  /// Gives the owner's turn back early: it has still to do what needs none.
  public func giveBack() {
    monitor.locked {
      if isOwnersTurn { isTurnTaken = false }
      isOwnersTurn = false
    }
  }

  // MARK: - Looking

  /// Waits until fewer than `capacity` letters lie in the box, or it is closed.
  public func waitForRoom() {
    if monitor.locked({ letters.count < capacity || isShut }) { return }
    room.lock()
    // Who empties broadcasts under `room` afterwards, so the check cannot miss it.
    while monitor.locked({ letters.count >= capacity && !isShut }) { room.wait() }
    room.unlock()
  }

  /// Letters waiting.
  public var count: Int { monitor.locked { letters.count } }

  /// When the first of the letters waiting came; nil when none waits.
  public var waitingSince: UInt64? { monitor.locked { letters.isEmpty ? nil : oldest } }

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
