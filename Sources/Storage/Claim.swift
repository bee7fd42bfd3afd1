internal import Glibc
internal import Synchronization

/// The right to a folder: across processes by a lock file (writers alone), within this process by
/// a list, since LMDB must not open one database twice in one process.
struct Claim: ~Copyable {
  private struct Identity: Hashable {
    let device: UInt64
    let node: UInt64
  }

  private static let held = Mutex<Set<Identity>>([])

  private let identity: Identity
  private let lock: File?

  /// - Throws: `.folderInUse`.
  init(_ folder: String, isExclusive: Bool) throws(StorageFailure) {
    let status = try File(folder, .read).status()
    let identity = Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino))
    guard Claim.held.withLock({ $0.insert(identity).inserted }) else {
      throw .folderInUse(folder: folder)
    }
    do throws(StorageFailure) {
      if isExclusive {
        lock = try Claim.locked(folder)
      } else {
        lock = nil
      }
    } catch {
      Claim.held.withLock { _ = $0.remove(identity) }
      throw error
    }
    self.identity = identity
  }

  private static func locked(_ folder: String) throws(StorageFailure) -> File {
    let file = try File(folder + "/novate.lock", .createOrOpen)
    // A child on its way from fork to exec holds a copy of its parent's lock for a moment, and a
    // killed layer its own until it is gone: look again before saying *in use*.
    for _ in 0..<20 {
      if try file.lock() { return file }
      usleep(25_000)
    }
    throw .folderInUse(folder: folder)
  }

  deinit {
    let identity = identity
    Claim.held.withLock { _ = $0.remove(identity) }
  }
}

/// Many readers or one growth of the map; a waiting growth goes first.
@safe final class Gate: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_rwlock_t>

  init() {
    unsafe lock = .allocate(capacity: 1)
    var attributes = pthread_rwlockattr_t()
    unsafe pthread_rwlockattr_init(&attributes)
    unsafe pthread_rwlockattr_setkind_np(
      &attributes, Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP))
    let code = unsafe pthread_rwlock_init(lock, &attributes)
    precondition(code == 0, "pthread_rwlock_init: error \(code)")
    unsafe pthread_rwlockattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_rwlock_destroy(lock)
    unsafe lock.deallocate()
  }

  func enter() { require(unsafe pthread_rwlock_rdlock(lock)) }
  func leave() { require(unsafe pthread_rwlock_unlock(lock)) }
  func close() { require(unsafe pthread_rwlock_wrlock(lock)) }
  func open() { require(unsafe pthread_rwlock_unlock(lock)) }

  private func require(_ code: Int32) { precondition(code == 0, "read-write lock: error \(code)") }
}
