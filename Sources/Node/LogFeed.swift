import Primitives
import Storage
import Synchronization
public import Wire

/// Sends a layer's log to whoever follows it: from any batch on, in order, as fast as each follower
/// reads. One thread serves all; new batches come from memory, old ones from the store.
public final class LogFeed: @unchecked Sendable {
  private struct Follower {
    let connection: Connection
    let requestID: UInt64
    var next: UInt64
    let through: UInt64
    let log: FollowMessage.Log
    /// Whether an END is still owed.
    var wantsEnd: Bool
  }

  // Sound to share: everything mutable sits behind `monitor`.
  private let monitor = Monitor()
  private let messageType: UInt16
  private let read: @Sendable (UInt64) -> [UInt8]?
  private let unpublished: @Sendable (UInt64) -> [[UInt8]]
  private var followers: [Follower] = []
  /// False where an object may still grow after it was published.
  private let keepsRecent: Bool
  private var recent: [UInt64: [UInt8]] = [:]
  /// The next batch to be published: all before it can be read.
  private var end: UInt64
  private var isStopped = false
  private var thread: NamedThread?
  /// Logs, or ranges of one, that a connection may follow at once.
  private static let perConnectionMax = 8
  /// Batches kept in memory.
  private static let recentCount: UInt64 = 64

  /// - Parameters:
  ///   - end: the first batch not yet published.
  ///   - read: the encoded object of a published batch.
  ///   - unpublished: objects held from a batch on that are not published yet, in order; whoever
  ///     asks for the log's end gets them too.
  public init(
    _ name: String, messageType: UInt16, end: UInt64, keepsRecent: Bool = true,
    read: @escaping @Sendable (UInt64) -> [UInt8]?,
    unpublished: @escaping @Sendable (UInt64) -> [[UInt8]] = { _ in [] }
  ) {
    self.unpublished = unpublished
    self.messageType = messageType
    self.read = read
    self.end = end
    self.keepsRecent = keepsRecent
    thread = NamedThread(name, priority: .prompt) { [unowned self] in self.run() }
  }

  /// Adds a follower.
  public func follow(_ message: FollowMessage, _ connection: Connection, requestID: UInt64) {
    monitor.locked {
      let next = message.from == FollowMessage.next ? end : message.from.raw
      // The same request again takes the place of the first.
      followers.removeAll { $0.connection.id == connection.id && $0.requestID == requestID }
      guard followers.count(where: { $0.connection.id == connection.id }) < LogFeed.perConnectionMax
      else {
        connection.refuse(requestID, ErrorMessage(.busy, "too many logs followed"))
        return
      }
      followers.append(
        Follower(
          connection: connection, requestID: requestID, next: next,
          through: message.through.raw, log: message.log, wantsEnd: message.wantsEnd))
      // Following is bounded here, and holds no place among the requests in flight: its frames all
      // say that more come.
      connection.finished()
      monitor.signal()
    }
  }

  public func forget(_ connection: Connection) {
    monitor.locked { followers.removeAll { $0.connection.id == connection.id } }
  }

  /// Publishes the next batch.
  public func publish(_ batch: UInt64, _ object: [UInt8]) {
    monitor.locked {
      precondition(batch == end, "batches are published in order")
      if keepsRecent { recent[batch] = object }
      if batch >= LogFeed.recentCount { recent[batch - LogFeed.recentCount] = nil }
      end = batch + 1
      monitor.signal()
    }
  }

  public func stop() {
    monitor.locked {
      isStopped = true
      monitor.signal()
    }
    thread?.join()
  }

  private func run() {
    monitor.lock()
    while !isStopped {
      var isBusy = false
      var slow = false
      var place = 0
      // Followers come and go while the store is read: nothing is kept across `object`.
      while place < followers.count {
        let follower = followers[place]
        guard follower.next < end, follower.next <= follower.through else {
          if follower.wantsEnd { sendEnd(place) }
          place += 1
          continue
        }
        guard follower.connection.isWritable else {
          slow = true
          place += 1
          continue
        }
        guard let object = object(follower.next) else {
          place += 1
          continue
        }
        isBusy = true
        guard
          let here = followers.firstIndex(where: {
            $0.connection.id == follower.connection.id && $0.requestID == follower.requestID
              && $0.next == follower.next
          })
        else { continue }
        follower.connection.send(
          type: messageType, flags: [.response, .more], requestID: follower.requestID, body: object)
        followers[here].next += 1
        place = here
      }
      followers.removeAll { $0.connection.isClosed || $0.next > $0.through }
      if isBusy { continue }
      if slow {
        _ = monitor.wait(until: Clock.monotonicNanoseconds + 2_000_000)
      } else {
        _ = monitor.wait(until: Clock.monotonicNanoseconds + 500_000_000)
      }
    }
    monitor.unlock()
  }

  /// The object of a published batch; the lock is given up while the store is read.
  private func object(_ batch: UInt64) -> [UInt8]? {
    if let held = recent[batch] { return held }
    monitor.unlock()
    defer { monitor.lock() }
    return read(batch)
  }

  /// Says that a follower has all there is, unless its range ends before.
  private func sendEnd(_ place: Int) {
    let follower = followers[place]
    guard follower.next >= end, follower.next <= follower.through,
      follower.connection.isWritable
    else { return }
    followers[place].wantsEnd = false
    let rest = unpublished(end)
    var frames = rest.map {
      Frame(
        type: messageType, flags: [.response, .more], requestID: follower.requestID, body: $0)
    }
    let message = EndMessage(follower.log, next: BatchNumber(end + UInt64(rest.count)))
    frames.append(
      Frame(
        type: MessageType.end, flags: [.response, .more], requestID: follower.requestID,
        body: message.encoded))
    follower.connection.sendMany(frames)
  }
}

/// Objects received and not published yet: what a recovering layer must still be shown.
public final class PendingObjects: Sendable {
  private let objects = Mutex<[UInt64: [UInt8]]>([:])

  public init() {}

  public func put(_ batch: UInt64, _ object: [UInt8]) {
    objects.withLock { objects in
      objects[batch] = object
      // What came again after a reconnection is dropped.
      if objects.count > 1_024 { objects = objects.filter { $0.key + 512 > batch } }
    }
  }

  /// Forgets what is published now.
  public func remove(_ batch: UInt64) { objects.withLock { $0[batch] = nil } }

  public subscript(batch: UInt64) -> [UInt8]? { objects.withLock { $0[batch] } }

  /// What follows without gap from a batch on.
  public func list(from batch: UInt64) -> [[UInt8]] {
    objects.withLock { objects in
      var found: [[UInt8]] = []
      while let object = objects[batch + UInt64(found.count)] { found.append(object) }
      return found
    }
  }
}
