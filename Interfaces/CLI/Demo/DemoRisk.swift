import Client
import Primitives
import Wire

/// What margin was used, step by step, from clearing's own figures.
struct DemoRisk {
  struct Sample {
    let time: Timestamp
    var equity: Int64 = 0
    var initial: Int64 = 0
    var restricted = 0
    /// What the insurance fund holds.
    var insurance: Int64 = 0
  }

  private let clearing: BlockingConnection
  private let traders: [AccountID]
  private(set) var samples: [Sample] = []

  init(genesis: Genesis, traders: [AccountID], clearing address: String) throws {
    clearing = try BlockingConnection(
      to: try Address(address), network: genesis.networkID, role: .clearing,
      key: genesis.clearing.handshake)
    self.traders = traders
  }

  mutating func sample(at time: Timestamp) throws {
    var sample = Sample(time: time)
    for account in traders {
      let view = try DemoQuery.account(clearing, account)
      sample.initial += try view.decimal(at: "initial_margin", digits: Money.fractionDigits)
      sample.equity += try view.decimal(at: "equity", digits: Money.fractionDigits)
      if try view.bool(at: "reduce_only") { sample.restricted += 1 }
    }
    sample.insurance = try DemoQuery.status(clearing).decimal(
      at: "insurance", digits: Money.fractionDigits)
    samples.append(sample)
  }

  /// Before anybody was restricted, with the most margin used of what there was, and at the end.
  var moments: (before: Sample, worst: Sample, after: Sample)? {
    guard let last = samples.last else { return nil }
    let first = samples.firstIndex { $0.restricted > 0 } ?? samples.count
    let worst = samples.max {
      Int128($0.initial) * Int128($1.equity) < Int128($1.initial) * Int128($0.equity)
    }
    return (samples[max(0, first - 1)], worst ?? last, last)
  }
}
