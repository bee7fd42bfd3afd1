import Instruments
import Margin
import Pricing
public import Primitives
public import Wire

extension ClearingMachine {
  /// An account as a line of `novate margin`, whose answer is this machine's to the unit; nil for an
  /// unknown account, or one with a position that is not priced, or a dated one without a forward.
  ///
  /// What positions cost and funding takes is cash here, so that every number has few enough digits.
  public func marginLine(_ account: AccountID) -> JSONValue? {
    guard account.index < accounts.count else { return nil }
    var cash =
      Int128(accounts[account.index].cash.raw) - accruedInterest(account) / Notional.perMoney
    var (perpetuals, options, futures): ([JSONValue], [JSONValue], [JSONValue]) = ([], [], [])
    var held: Set<SliceKey> = []
    var isWhole = true
    var weighty: [UnderlyingID: InstrumentID] = [:]
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      isWhole =
        isWhole && table.isPriced(instrument.id) && instrument.status != .settling
      cash -= Int128(position.cost.raw) + accruedFunding(position) / Notional.perMoney
      let name = JSONValue.string(genesis.underlyings[instrument.underlying.index])
      if instrument.isOption {
        held.insert(SliceKey(underlying: instrument.underlying, expiry: instrument.expiry))
        guard let slice = slice(of: instrument) else { return isWhole = false }
        let time = max(0, instrument.expiry.raw - slice.time.raw)
        let volatility = slice.expirySlice.surface.volatility(
          strike: instrument.strike, forward: slice.forward, time: time)
        let leg: [(key: String, value: JSONValue)] = [
          (key: "underlying", value: name), (key: "time_ms", value: .string("\(time)")),
          (key: "strike", value: .string(instrument.strike.decimal)),
          (key: "type", value: .string(instrument.isCall ? "call" : "put")),
          (key: "vol", value: .string(volatility.decimal)),
          (key: "quantity", value: .string(position.quantity.decimal)),
        ]
        options.append(.object(leg + sizeWords(instrument, account)))
      } else if instrument.expires {
        held.insert(SliceKey(underlying: instrument.underlying, expiry: instrument.expiry))
        guard let slice = slice(of: instrument) else { return isWhole = false }
        let leg: [(key: String, value: JSONValue)] = [
          (key: "underlying", value: name),
          (key: "time_ms", value: .string("\(max(0, instrument.expiry.raw - slice.time.raw))")),
          (key: "quantity", value: .string(position.quantity.decimal)), (key: "price", value: "0"),
        ]
        futures.append(.object(leg + sizeWords(instrument, account)))
      } else {
        // As if bought for nothing: what was paid is in cash.
        var leg: [(key: String, value: JSONValue)] = [
          (key: "underlying", value: name),
          (key: "quantity", value: .string(position.quantity.decimal)), (key: "price", value: "0"),
        ]
        let other = weighty.updateValue(instrument.id, forKey: instrument.underlying)
        if instrument.dailyVolume.raw > 0 {
          leg.append((key: "owner_others", value: besideText(account, instrument.id)))
        }
        // The calculator knows one perpetual of an underlying, and of it what its size costs.
        for id in [other, instrument.id] {
          if other != nil, let id, instruments[id.index].dailyVolume.raw > 0 { isWhole = false }
        }
        perpetuals.append(.object(leg))
      }
    }
    guard isWhole, let money = Int64(exactly: cash) else { return nil }
    return [
      "id": .string("\(account)"), "method": margins[Int(status[0].margin)].methodValue,
      "market": .array(markets(holding: held, weighty)),
      "account": [
        "cash": .string(Money(raw: money).decimal), "perps": .array(perpetuals),
        "futures": .array(futures),
        "options": .array(options), "collateral": .array(collateral(of: account)),
        "mode": .string(accounts[account.index].isApart ? "cross" : "portfolio"),
      ],
    ]
  }

  private func interestText(_ instrument: InstrumentID) -> JSONValue {
    .string(Quantity(raw: Int64(clamping: openInterest(instrument))).decimal)
  }

  /// What a contract's size is asked by; none without a daily volume.
  private func sizeWords(_ instrument: Instrument, _ account: AccountID) -> [(
    key: String, value: JSONValue
  )] {
    guard instrument.dailyVolume.raw > 0 else { return [] }
    return [
      (key: "adv", value: .string(instrument.dailyVolume.decimal)),
      (key: "open_interest", value: interestText(instrument.id)),
      (key: "owner_others", value: besideText(account, instrument.id)),
    ]
  }

  private func besideText(_ account: AccountID, _ instrument: InstrumentID) -> JSONValue {
    let beside = countedBeside(account)
    let counted = beside.isEmpty ? 0 : beside[instrument.index]
    return .string(Quantity(raw: Int64(clamping: counted)).decimal)
  }

  /// What counts of an account's balances.
  private func collateral(of account: AccountID) -> [JSONValue] {
    countedCollateral(of: account).map { part in
      let place = collaterals.underlying(part.asset)?.index ?? 0
      return [
        "underlying": .string(genesis.underlyings[place]),
        "id": .string(genesis.assets[part.asset.index].name),
        "quantity": .string(collaterals.quantity(part.asset, part.amount).decimal),
      ]
    }
  }

  /// What counts as collateral with an underlying.
  private func collaterals(of underlying: Int) -> [JSONValue] {
    var values: [JSONValue] = []
    for place in genesis.assets.indices {
      let asset = AssetID(UInt16(place))
      guard collaterals.underlying(asset)?.index == underlying else { continue }
      let terms = collateralTerms(asset)
      func share(_ raw: UInt32) -> JSONValue { .string(Ratio(raw: Int64(raw)).decimal) }
      values.append([
        "id": .string(genesis.assets[place].name),
        "price": .string(collaterals.price(asset).decimal),
        "mm_haircut": share(terms.haircut), "im_haircut_add": share(terms.initialHaircut),
        "risk_cancelling": .bool(true),
      ])
    }
    return values
  }

  private struct SliceKey: Hashable {
    var underlying: UnderlyingID
    var expiry: Timestamp
  }

  private func slice(of instrument: Instrument) -> SliceEntry? {
    for slot in 0..<slices.count
    where slices[slot].underlying == instrument.underlying
      && slices[slot].expiry == instrument.expiry
    {
      return slices[slot]
    }
    return nil
  }

  /// Every underlying with a price, with the expiries still to come and those that are held.
  private func markets(
    holding held: Set<SliceKey>, _ perpetuals: [UnderlyingID: InstrumentID]
  ) -> [JSONValue] {
    var markets: [JSONValue] = []
    for place in 0..<indices.count where indices[place].price.raw > 0 {
      var expiries: [JSONValue] = []
      for slot in 0..<slices.count where slices[slot].underlying.index == place {
        let slice = slices[slot]
        let key = SliceKey(underlying: slice.underlying, expiry: slice.expiry)
        guard slice.expiry > indices[place].time || held.contains(key) else { continue }
        expiries.append([
          "time_ms": .string("\(max(0, slice.expiry.raw - slice.time.raw))"),
          "forward_variable": .string(slice.forward.decimal),
        ])
      }
      var market: [(key: String, value: JSONValue)] = [
        (key: "underlying", value: .string(genesis.underlyings[place])),
        (key: "spot", value: .string(indices[place].price.decimal)),
        (
          key: "confidence",
          value: [
            "spot": .string(Ratio(raw: Ratio.scale - indices[place].doubt.raw).decimal)
          ]
        ),
        (key: "expiries", value: .array(expiries)),
        (key: "collaterals", value: .array(collaterals(of: place))),
      ]
      if let peg = margins[Int(status[0].margin)].pegUnderlying, indices[peg.index].price.raw > 0 {
        market.append((key: "peg", value: .string(indices[peg.index].price.decimal)))
      }
      if let perpetual = perpetuals[UnderlyingID(UInt16(place))],
        instruments[perpetual.index].dailyVolume.raw > 0
      {
        let volume = instruments[perpetual.index].dailyVolume.decimal
        market.append((key: "perp_adv", value: .string(volume)))
        market.append((key: "perp_open_interest", value: interestText(perpetual)))
      }
      markets.append(.object(market))
    }
    return markets
  }
}
