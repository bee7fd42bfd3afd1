import Client
import Primitives
import Wire

/// What margin was used, step by step, from clearing's own figures.
struct DemoRisk {
  /// Equity and initial margin of some accounts together.
  struct Use {
    var equity: Int64 = 0
    var initial: Int64 = 0

    /// Whether less of what there is is used here than there.
    static func isLess(_ a: Use, _ b: Use) -> Bool {
      Int128(a.initial) * Int128(max(1, b.equity)) < Int128(b.initial) * Int128(max(1, a.equity))
    }
  }

  struct Sample {
    let time: Timestamp
    var all = Use()
    /// Of those who trade on margin.
    var margined = Use()
  }

  private let clearing: BlockingConnection
  private let others: [AccountID]
  private let margined: [AccountID]
  private(set) var samples: [Sample] = []
  private var isRestrictedSeen = false
  /// Samples before anybody was below maintenance.
  private var calmCount = 0

  init(genesis: Genesis, cast: DemoCast, clearing address: String) throws {
    clearing = try BlockingConnection(
      to: try Address(address), network: genesis.networkID, role: .clearing,
      key: genesis.clearing.handshake)
    margined = cast.margined
    others = cast.makers + cast.takers + [cast.hunter]
  }

  /// Waits until `batch` is cleared and takes the figures before what it directs can be done.
  mutating func sample(_ batch: BatchNumber, at time: Timestamp) throws {
    for _ in 0..<20_000 {
      if try DemoQuery.status(clearing).integer(at: "batch", as: UInt64.self) > batch.raw { break }
      DemoQuery.pause(milliseconds: 1)
    }
    var sample = Sample(time: time)
    for account in margined {
      let view = try use(of: account)
      sample.margined.equity += view.equity
      sample.margined.initial += view.initial
    }
    sample.all = sample.margined
    for account in others {
      let view = try use(of: account)
      sample.all.equity += view.equity
      sample.all.initial += view.initial
    }
    samples.append(sample)
    if !isRestrictedSeen { calmCount = samples.count }
  }

  private mutating func use(of account: AccountID) throws -> Use {
    let view = try DemoQuery.account(clearing, account)
    if try view.bool(at: "reduce_only"), !isRestrictedSeen {
      isRestrictedSeen = true
      calmCount = samples.count
    }
    return Use(
      equity: try view.decimal(at: "equity", digits: Money.fractionDigits),
      initial: try view.decimal(at: "initial_margin", digits: Money.fractionDigits))
  }

  /// Once positions stand and nobody is restricted, when those on margin used most of what they
  /// had, and at the end.
  var moments: (before: Sample, worst: Sample, after: Sample)? {
    guard let last = samples.last,
      let worst = samples.max(by: { Use.isLess($0.margined, $1.margined) })
    else { return nil }
    return (samples[min(2, max(0, calmCount - 1))], worst, last)
  }
}
