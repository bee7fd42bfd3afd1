import ArgumentParser
import Client
import Commitments
import Primitives
import Wire

/// `novate bench signatures`: what a signature costs, the wall of the whole system.
struct BenchSignatures: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signatures",
    abstract: "Ed25519 on this machine: one core, all cores, a bundle's share of an order.",
    discussion: """
      A verification of a 32-byte id by libsodium is the unit of the other benchmarks. Beside it: \
      signing, as many threads verifying at once as --threads says, and what deciding on a bundle of \
      1 and of 64 orders (decoding, hashing, verifying) costs an order. With --json the last line of \
      stdout is one JSON object.
        novate bench signatures --json
      """)

  @Option(help: ArgumentHelp("Threads that verify at once.", valueName: "n"))
  var threads = 2

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    guard (1...256).contains(threads) else {
      throw ValidationError("--threads: expected 1 to 256, found \(threads)")
    }
  }

  func run() throws {
    let unit = BenchCalibration.verificationSeconds()
    let signing = signingSeconds()
    let together = try togetherPerSecond()
    let shares = try [1, 64].map { size in (size: size, seconds: try bundleSeconds(size)) }
    guard json else {
      Screen.say(
        """
        a verification   \(fixed(unit * 1e6, 2)) us: \(fixed(1 / unit, 0)) a second on one core
        \(threads) threads at once  \(fixed(together, 0)) a second, \
        \(fixed(together * unit, 2)) times one
        a signature      \(fixed(signing * 1e6, 2)) us, \(fixed(signing / unit, 3)) verifications
        """)
      for share in shares {
        Screen.say(
          "an order of \(share.size)    \(fixed(share.seconds * 1e6, 2)) us, "
            + "\(fixed(share.seconds / unit, 4)) verifications")
      }
      return
    }
    Screen.say(
      JSONValue.object([
        ("schema", "novate.bench.signatures/1"), ("version", .string(Version.text)),
        ("library", .string(Sodium.version)), ("verification_us", number(unit * 1e6, 3)),
        ("verifications_per_second", number(1 / unit, 1)),
        ("threads", .number(String(threads))), ("threads_per_second", number(together, 1)),
        ("signature_us", number(signing * 1e6, 3)),
        (
          "bundles",
          .array(
            shares.map {
              .object([
                ("orders", .number(String($0.size))),
                ("order_us", number($0.seconds * 1e6, 4)),
                ("order_in_verifications", number($0.seconds / unit, 5)),
              ])
            })
        ),
      ]).text())
  }

  /// Half of the rounds took less for one.
  private func median(_ count: Int, _ body: () -> Void) -> Double {
    Percentile(
      (0..<64).map { _ in
        let start = ProcessorTime.ofThread
        body()
        return (ProcessorTime.ofThread - start) / Double(count)
      }
    ).p50
  }

  private func signingSeconds() -> Double {
    let key = SigningKey.random()
    let ids = (0..<32).map { SHA256.digest([UInt8($0)]) }
    return median(ids.count) {
      for id in ids { precondition(key.sign(id) != .zero, "a signature is not zero") }
    }
  }

  /// Verifications a second of all threads together, by the wall clock.
  private func togetherPerSecond() throws -> Double {
    let each = 8_192
    let start = SystemClock.monotonicNanoseconds
    let workers = (0..<threads).map { _ in
      BenchThread {
        let key = SigningKey.random()
        let id = SHA256.digest([])
        let signature = key.sign(id)
        for _ in 0..<each {
          precondition(Ed25519.isValid(signature, of: id, by: key.publicKey), "a signature holds")
        }
      }
    }
    for worker in workers { worker.join() }
    let seconds = Double(SystemClock.monotonicNanoseconds - start) / 1e9
    return Double(each * threads) / seconds
  }

  /// An order's share of decoding, hashing and verifying its bundle.
  private func bundleSeconds(_ size: Int) throws -> Double {
    let key = SigningKey.random()
    let orders = (0..<size).map { place in
      Action.place(
        instrument: InstrumentID(0), side: .buy, price: Price(raw: Price.scale),
        quantity: Quantity(raw: Quantity.scale), timeInForce: .gtc, postOnly: false,
        reduceOnly: false, clientID: UInt64(place + 1))
    }
    let bundle = Bundle.signed(
      orders, account: AccountID(1), nonce: 1, expiry: Timestamp(raw: 1), network: .zero, by: key)
    let bytes = bundle.bytes
    var isGood = true
    let seconds = try medianThrowing(16) {
      for _ in 0..<16 {
        let read = try Bundle(bytes)
        isGood = read.isSigned(network: .zero) && isGood
      }
    }
    guard isGood else { throw CommandFailure("a signed bundle did not verify") }
    return seconds / Double(size)
  }

  private func medianThrowing(_ count: Int, _ body: () throws -> Void) throws -> Double {
    var rounds: [Double] = []
    for _ in 0..<64 {
      let start = ProcessorTime.ofThread
      try body()
      rounds.append((ProcessorTime.ofThread - start) / Double(count))
    }
    return Percentile(rounds).p50
  }
}
