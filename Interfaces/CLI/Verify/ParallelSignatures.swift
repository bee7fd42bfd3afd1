import Glibc
import Primitives
import Synchronization
import Wire

/// Client signatures, shared out among as many threads as there are processors.
enum ParallelSignatures {
  /// One thread's part, handed over as a C pointer.
  private final class Share: Sendable {
    let bundles: [Bundle]
    let range: Range<Int>
    let network: Digest
    let firstBad: Shared

    init(_ bundles: [Bundle], _ range: Range<Int>, _ network: Digest, _ firstBad: Shared) {
      self.bundles = bundles
      self.range = range
      self.network = network
      self.firstBad = firstBad
    }

    func run() {
      for index in range where !bundles[index].isSigned(network: network) {
        firstBad.note(index)
        return
      }
    }
  }

  private final class Shared: Sendable {
    let place = Mutex(Int.max)
    func note(_ index: Int) { place.withLock { $0 = min($0, index) } }
  }

  /// The place of the first bad signature.
  static func check(_ bundles: [Bundle], _ network: Digest) -> Int? {
    let threads = max(1, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), bundles.count / 64))
    let firstBad = Shared()
    let step = (bundles.count + threads - 1) / threads
    var handles: [pthread_t] = []
    for thread in 1..<threads {
      let range = min(thread * step, bundles.count)..<min((thread + 1) * step, bundles.count)
      let share = Share(bundles, range, network, firstBad)
      if let handle = start(share) { handles.append(handle) } else { share.run() }
    }
    Share(bundles, 0..<min(step, bundles.count), network, firstBad).run()
    for handle in handles { _ = pthread_join(handle, nil) }
    let place = firstBad.place.withLock { $0 }
    return place == .max ? nil : place
  }

  private static func start(_ share: Share) -> pthread_t? {
    var handle = pthread_t()
    let argument = unsafe Unmanaged.passRetained(share).toOpaque()
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Share>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, argument)
    guard status == 0 else {
      unsafe Unmanaged<Share>.fromOpaque(argument).release()
      return nil
    }
    return handle
  }
}
