import Client
import Commitments
import Foundation
import Instruments
import Primitives
import Testing
import Wire

/// A folder of its own for one test, removed behind it.
func withFolder<R>(_ body: (String) throws -> R) throws -> R {
  let path = FileManager.default.temporaryDirectory.appending(path: "novate-\(UUID())").path
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func seededGenesis() throws -> Genesis {
  var builder = GenesisBuilder(startTime: Timestamp(raw: 1_767_225_600_000))
  builder.otherAssets = [("BTC", 8)]
  builder.list(Listing(try InstrumentName("BTC-27MAR26-60000-C")))
  return try builder.genesis(seed: 7)
}
