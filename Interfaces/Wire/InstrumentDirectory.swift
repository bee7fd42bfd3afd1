public import Instruments
public import Primitives

extension InstrumentName {
  /// The name of a listed contract; nil when its terms have none (an underlying in other letters,
  /// an expiry inside a minute).
  public init?(_ instrument: Instrument, underlyings: [String]) {
    guard instrument.underlying.index < underlyings.count, let kind = instrument.kind else {
      return nil
    }
    let form: Form =
      switch kind {
      case .option:
        .option(
          expiry: instrument.expiry, strike: instrument.strike, isCall: instrument.isCall)
      case .future: .future(expiry: instrument.expiry)
      case .perpetual: .perpetual
      }
    do throws(InstrumentNameFailure) {
      try self.init(underlying: underlyings[instrument.underlying.index], form: form)
    } catch {
      return nil
    }
  }
}

/// Which instrument bears which name: what a client needs to read and to write names.
public struct InstrumentDirectory: Sendable {
  /// In the order of their ids.
  public let underlyings: [String]
  /// In the order of their ids.
  public private(set) var instruments: [Instrument] = []
  private var ids: [InstrumentName: InstrumentID] = [:]

  /// - Precondition: `instruments` stand in the order of their ids, from 0.
  public init(underlyings: [String], instruments: [Instrument] = []) {
    self.underlyings = underlyings
    for instrument in instruments { append(instrument) }
  }

  /// What is listed from the start.
  public init(_ genesis: Genesis) {
    self.init(underlyings: genesis.underlyings, instruments: genesis.instruments)
  }

  /// Adds the next instrument. When a name is listed again, it names the newest.
  /// - Precondition: its id is the number of instruments held.
  public mutating func append(_ instrument: Instrument) {
    precondition(instrument.id.index == instruments.count, "instruments are numbered in order")
    instruments.append(instrument)
    if let name = InstrumentName(instrument, underlyings: underlyings) {
      ids[name] = instrument.id
    }
  }

  /// The instrument of that number.
  public subscript(id: InstrumentID) -> Instrument? {
    id.index < instruments.count ? instruments[id.index] : nil
  }

  /// The instrument of that name.
  public func id(of name: InstrumentName) -> InstrumentID? { ids[name] }

  /// The instrument's name.
  public func name(of id: InstrumentID) -> InstrumentName? {
    self[id].flatMap { InstrumentName($0, underlyings: underlyings) }
  }

  /// The underlying of that name. Linear in the underlyings, at most 64.
  public func underlying(named name: String) -> UnderlyingID? {
    underlyings.firstIndex { $0.utf8.elementsEqual(name.utf8) }.map { UnderlyingID(UInt16($0)) }
  }
}

extension Genesis {
  /// The name of an instrument listed from the start.
  public func instrumentName(_ id: InstrumentID) -> InstrumentName? {
    guard id.index < instruments.count else { return nil }
    return InstrumentName(instruments[id.index], underlyings: underlyings)
  }

  /// The instrument of that name, listed from the start. Linear; for many, make a directory.
  public func instrument(named name: InstrumentName) -> InstrumentID? {
    instruments.first { InstrumentName($0, underlyings: underlyings) == name }?.id
  }

  /// The asset of that name.
  public func asset(named name: String) -> AssetID? {
    assets.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }.map { AssetID(UInt16($0)) }
  }
}

extension Instrument {
  /// The contract's name, or its number where it has none.
  public func label(underlyings: [String]) -> String {
    InstrumentName(self, underlyings: underlyings)?.description ?? "#\(id)"
  }
}
