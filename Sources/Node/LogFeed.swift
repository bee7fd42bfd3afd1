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
  }

  // Sound to share: everything mutable sits behind `monitor`.
  private let monitor = Monitor()
  private let messageType: UInt16
  private let read: @Sendable (UInt64) -> [UInt8]?
  private var followers: [Follower] = []
  /// False where an object may still grow after it was published.
  private let keepsRecent: Bool
  private var recent: [UInt64: [UInt8]] = [:]
  /// The next batch to be published: all before it can be read.
  private var end: UInt64
  private var isStopped = false
  private var thread: NamedThread?
  /// Batches kept in memory.
  private static let recentCount: UInt64 = 64

  /// - Parameters:
  ///   - end: the first batch not yet published.
  ///   - read: the encoded object of a published batch.
  public init(
    _ name: String, messageType: UInt16, end: UInt64, keepsRecent: Bool = true,
    read: @escaping @Sendable (UInt64) -> [UInt8]?
  ) {
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
      followers.append(
        Follower(
          connection: connection, requestID: requestID, next: next,
          through: message.through.raw))
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
      for place in followers.indices {
        while followers[place].next < end, followers[place].next <= followers[place].through {
          guard followers[place].connection.isWritable else {
            slow = true
            break
          }
          let next = followers[place].next
          let follower = followers[place]
          let object: [UInt8]?
          if let held = recent[next] {
            object = held
          } else {
            monitor.unlock()
            object = read(next)
            monitor.lock()
            // Followers may have come or gone meanwhile: begin anew after this one.
          }
          guard let object else { break }
          follower.connection.send(
            type: messageType, flags: [.response, .more], requestID: follower.requestID,
            body: object)
          guard place < followers.count, followers[place].connection.id == follower.connection.id,
            followers[place].requestID == follower.requestID
          else {
            isBusy = true
            break
          }
          followers[place].next = next + 1
          isBusy = true
        }
        if place >= followers.count { break }
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
}
