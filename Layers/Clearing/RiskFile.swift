import Instruments
import Margin
public import Primitives
public import Wire

extension ClearingMachine {
  /// Everything an account's margin goes by in one underlying, as JSON: the terms, the index with its
  /// doubt, surfaces, and a risk array of every instrument and asset that is priced by it. It follows
  /// from the state under its root alone: whoever replays the log gets the same bytes. Nil for an
  /// unknown underlying.
  public func riskFile(_ underlying: UnderlyingID) -> JSONValue? {
    guard underlying.index < indices.count else { return nil }
    let index = indices[underlying.index]
    return [
      "schema": "novate.risk/1", "network": .string("\(network)"), "batch": .integer(batch.raw),
      "time_ms": .integer(time.raw), "root": .string("\(root)"),
      "underlying": .string(genesis.underlyings[underlying.index]),
      "index": .string(index.price.decimal), "index_time_ms": .integer(index.time.raw),
      "doubt": .string(index.doubt.decimal),
      "quote_worth": margins[Int(status[0].margin)].pegUnderlying
        .map { .string(indices[$0.index].price.decimal) } ?? .null,
      "method": margins[Int(status[0].margin)].methodValue,
      "surfaces": .array(surfaces(of: underlying)),
      "collateral": .array(collateralArrays(of: underlying)),
      "instruments": .array(instrumentArrays(of: underlying)),
    ]
  }

  private func surfaces(of underlying: UnderlyingID) -> [JSONValue] {
    var found: [JSONValue] = []
    for slot in 0..<slices.count where slices[slot].underlying == underlying {
      let (slice, surface) = (slices[slot], slices[slot].parameters)
      func parameter(_ raw: Int64) -> JSONValue { .string(DecimalText.format(raw, digits: 12)) }
      found.append([
        "expiry_ms": .integer(slice.expiry.raw), "time_ms": .integer(slice.time.raw),
        "forward": .string(slice.forward.decimal), "a": parameter(surface.a),
        "b": parameter(surface.b), "rho": parameter(surface.rho), "m": parameter(surface.m),
        "sigma": parameter(surface.sigma),
      ])
    }
    return found
  }

  private func collateralArrays(of underlying: UnderlyingID) -> [JSONValue] {
    var found: [JSONValue] = []
    for place in genesis.assets.indices {
      let asset = AssetID(UInt16(place))
      guard collaterals.underlying(asset) == underlying, let array = collaterals.array(asset) else {
        continue
      }
      let terms = collateralTerms(asset)
      func share(_ raw: UInt32) -> JSONValue { .string(Ratio(raw: Int64(raw)).decimal) }
      found.append(
        .object(
          [
            ("asset", .string(genesis.assets[place].name)), ("mm_haircut", share(terms.haircut)),
            ("im_haircut_add", share(terms.initialHaircut)),
          ] + fields(of: array)))
    }
    return found
  }

  private func instrumentArrays(of underlying: UnderlyingID) -> [JSONValue] {
    var found: [JSONValue] = []
    for slot in 0..<instruments.count where instruments[slot].underlying == underlying {
      let instrument = instruments[slot]
      guard let array = table.array(instrument.id) else { continue }
      let size = table.size(instrument.id)
      found.append(
        .object(
          [
            ("instrument", .string(instrument.label(underlyings: genesis.underlyings))),
            ("expiry_ms", instrument.expires ? .integer(instrument.expiry.raw) : .null),
          ] + fields(of: array) + [
            ("daily_volume", .string(instrument.dailyVolume.decimal)),
            (
              "open_interest",
              .string(Quantity(raw: Int64(clamping: openInterest(instrument.id))).decimal)
            ),
            ("crowd_long", .string(size.long.decimal)),
            ("crowd_short", .string(size.short.decimal)),
          ]))
    }
    return found
  }

  private func fields(of array: RiskArray) -> [(String, JSONValue)] {
    [
      ("mark", .string(array.mark.decimal)), ("mark_time_ms", .integer(array.time.raw)),
      ("scenarios", .array(array.scenarios.map { .string($0.decimal) })),
      ("delta_lead", .string(array.lead.decimal)), ("delta_trail", .string(array.trail.decimal)),
      ("falls", .bool(array.falls)), ("short", .string(array.short.decimal)),
      ("basis", .string(array.basis.decimal)), ("doubt", .string(array.doubt.decimal)),
    ]
  }
}
