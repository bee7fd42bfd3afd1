import Client
import Glibc
import Primitives
import Wire

extension Examination {
  /// Below the first a layer would soon stop; below the second it cannot start well.
  private static let spaceWanted = 1 << 30
  private static let spaceNeeded = 64 << 20

  func diskSpace(_ place: String) -> Check {
    var status = Glibc.statvfs()
    guard unsafe statvfs(place, &status) == 0 else {
      return Check(
        "disk space", .fail, "\(FileFailure.call("statvfs", path: place, code: errno))")
    }
    let free = Int(status.f_bavail) * Int(status.f_frsize)
    let text = "\(free >> 20) MiB free at \(place)"
    if free < Examination.spaceNeeded { return Check("disk space", .fail, text) }
    return Check("disk space", free < Examination.spaceWanted ? .warn : .pass, text)
  }

  /// Appends 4 KiB and waits for the disk, as a journal does: half and worst of 50 times.
  func diskSync(_ place: String) -> Check {
    do throws(FileFailure) {
      let times = try Examination.syncTimes(place, count: 50).sorted()
      guard let worst = times.last else { return Check("disk sync", .warn, "nothing measured") }
      let half = times[times.count / 2]
      func milliseconds(_ nanoseconds: Int64) -> String {
        DecimalText.format(nanoseconds / 10_000, digits: 2, minimumFraction: 2)
      }
      let text = "p50 \(milliseconds(half)) ms, worst \(milliseconds(worst)) ms for 4 KiB"
      if half > 20_000_000 { return Check("disk sync", .warn, text + "; slow for a journal") }
      // No disk answers in ten microseconds: memory, or a cache that a power cut empties.
      if half < 10_000 { return Check("disk sync", .warn, text + "; too fast to be a disk") }
      return Check("disk sync", .pass, text)
    } catch {
      return Check("disk sync", .fail, "\(error)")
    }
  }

  private static func syncTimes(_ place: String, count: Int) throws(FileFailure) -> [Int64] {
    let path = "\(place)/.novate-doctor-\(getpid())"
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .call("create", path: path, code: errno) }
    // The name goes at once; the file goes when it is closed, whatever happens.
    _ = unsafe unlink(path)
    defer { close(descriptor) }
    let block = [UInt8](repeating: 0x5A, count: 4096)
    var times: [Int64] = []
    for _ in 0..<count {
      let start = SystemClock.monotonicNanoseconds
      let written = unsafe block.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      guard written == block.count else { throw .call("write", path: path, code: errno) }
      guard fdatasync(descriptor) == 0 else { throw .call("fdatasync", path: path, code: errno) }
      times.append(SystemClock.monotonicNanoseconds - start)
    }
    return times
  }
}
