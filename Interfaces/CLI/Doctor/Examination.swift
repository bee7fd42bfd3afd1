import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Storage
import Wire

/// Everything `doctor` looks at, in order.
struct Examination {
  /// The network's folder, if one was named.
  let folder: String?

  func checks() -> [Check] {
    var checks = libraries() + [signatures(), hashes()]
    let place = folder ?? "."
    checks += [diskSpace(place), diskSync(place)] + clock()
    if let folder { checks += keys(NetworkFolder(folder)) }
    return checks + [selfTest()]
  }

  // MARK: - Libraries

  private func libraries() -> [Check] {
    let sodium =
      Sodium.start()
      ? Check("libsodium", .pass, Sodium.version)
      : Check("libsodium", .fail, "\(Sodium.version) did not start")
    return [
      Check("novate", .pass, Version.text), sodium, Check("libcrypto", .pass, LibCrypto.version),
      Check("lmdb", .pass, LMDB.version), Check("zlib", .pass, Gzip.version),
    ]
  }

  private func signatures() -> Check {
    if let fault = KnownAnswers.signatureFault() { return Check("ed25519", .fail, fault) }
    return Check("ed25519", .pass, "\(KnownAnswers.signatures.count) vectors of RFC 8032")
  }

  private func hashes() -> Check {
    if let fault = KnownAnswers.hashFault() { return Check("sha256", .fail, fault) }
    return Check("sha256", .pass, "\(KnownAnswers.hashes.count) vectors of FIPS 180")
  }

  // MARK: - Clock

  private func clock() -> [Check] {
    let now = SystemClock.now
    guard let (date, _) = CivilDate.split(now), (2025...2099).contains(date.year) else {
      return [Check("clock", .fail, "expected a year from 2025 to 2099, found \(now.raw) ms")]
    }
    let day = "\(date.year)-\(Self.two(date.month))-\(Self.two(date.day))"
    // Both clocks must run, and run alike: a stepped or stopped clock shows in a moment's sleep.
    let (wall, steady) = (SystemClock.realNanoseconds, SystemClock.monotonicNanoseconds)
    usleep(20_000)
    let wallPassed = SystemClock.realNanoseconds - wall
    let steadyPassed = SystemClock.monotonicNanoseconds - steady
    guard steadyPassed >= 20_000_000 else {
      return [Check("clock", .fail, "expected 20 ms to pass, found \(steadyPassed / 1_000) µs")]
    }
    let difference = abs(wallPassed - steadyPassed)
    guard difference < 5_000_000 else {
      let step = difference / 1_000_000
      return [Check("clock", .warn, "\(day) UTC, and stepped \(step) ms meanwhile")]
    }
    return [Check("clock", .pass, "\(day) UTC")]
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  // MARK: - Keys

  private func keys(_ network: NetworkFolder) -> [Check] {
    let genesis: Genesis
    do {
      genesis = try network.genesis()
    } catch {
      return [Check("genesis", .fail, "\(error)")]
    }
    let listed = Examination.keys(of: genesis)
    var checks = [Check("genesis", .pass, "\(genesis.name) \(genesis.networkID)")]
    do {
      let names = try Files.names(in: network.keysPath).filter { $0.hasSuffix(".key") }
      var strangers = 0
      for name in names {
        do throws(FileFailure) {
          let key = try KeyFile.read("\(network.keysPath)/\(name)")
          if !listed.contains(key.publicKey) { strangers += 1 }
        } catch {
          checks.append(Check("keys", .fail, "\(error)"))
        }
      }
      if checks.count == 1 {
        let rest = strangers == 0 ? "" : ", \(strangers) of them not in genesis"
        checks.append(
          Check("keys", strangers == 0 ? .pass : .warn, "\(names.count) key files\(rest)"))
      }
    } catch {
      checks.append(Check("keys", .fail, "\(error)"))
    }
    return checks
  }

  private static func keys(of genesis: Genesis) -> Set<PublicKey> {
    let roles = [genesis.execution, genesis.clearing, genesis.settlement]
    return Set(
      genesis.accounts + roles.flatMap { [$0.object, $0.handshake] }
        + genesis.witnesses.map(\.key) + [genesis.settlementNote.key])
  }

  // MARK: - The machines

  private func selfTest() -> Check {
    do {
      let report = try SelfTest.run()
      return Check("self-test", .pass, report)
    } catch {
      return Check("self-test", .fail, "\(error)")
    }
  }
}
