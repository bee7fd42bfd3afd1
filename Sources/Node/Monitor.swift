import Glibc

/// A lock and a condition to wait for, on the monotonic clock.
@safe final class Monitor: @unchecked Sendable {
  // Sound to share: both live at fixed addresses and are made for it.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition = .allocate(capacity: 1)
    unsafe condition.initialize(to: pthread_cond_t())
    Monitor.check(unsafe pthread_mutex_init(mutex, nil))
    var attributes = pthread_condattr_t()
    Monitor.check(unsafe pthread_condattr_init(&attributes))
    Monitor.check(unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC))
    Monitor.check(unsafe pthread_cond_init(condition, &attributes))
    Monitor.check(unsafe pthread_condattr_destroy(&attributes))
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  private static func check(_ status: Int32) {
    precondition(status == 0, "pthread error \(status)")
  }

  func lock() { Monitor.check(unsafe pthread_mutex_lock(mutex)) }
  func unlock() { Monitor.check(unsafe pthread_mutex_unlock(mutex)) }

  func locked<T>(_ body: () -> T) -> T {
    lock()
    defer { unlock() }
    return body()
  }

  /// Waits, unlocked, for a signal. May wake without one.
  func wait() { Monitor.check(unsafe pthread_cond_wait(condition, mutex)) }

  /// Waits, unlocked, for a signal or a moment of `Clock.monotonicNanoseconds`.
  /// - Returns: false when the moment has come.
  func wait(until deadline: UInt64) -> Bool {
    var time = timespec()
    time.tv_sec = Int(deadline / 1_000_000_000)
    time.tv_nsec = Int(deadline % 1_000_000_000)
    let status = unsafe pthread_cond_timedwait(condition, mutex, &time)
    precondition(status == 0 || status == ETIMEDOUT, "pthread error \(status)")
    return status == 0
  }

  func signal() { Monitor.check(unsafe pthread_cond_signal(condition)) }
  func broadcast() { Monitor.check(unsafe pthread_cond_broadcast(condition)) }
}
