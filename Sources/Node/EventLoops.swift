import NIOCore
import NIOPosix

/// The threads that serve a process's connections.
public final class EventLoops: Sendable {
  let group: MultiThreadedEventLoopGroup

  public init(threads: Int = 1) {
    group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    for loop in group.makeIterator() { loop.execute { Promptness.ask() } }
  }

  /// Stops the threads once everything that uses them has stopped. Never call it on one of them.
  public func stop() {
    do { try group.syncShutdownGracefully() } catch {
      preconditionFailure("event loops did not stop: \(error)")
    }
  }
}
