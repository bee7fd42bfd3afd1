import Client
import Glibc
import Primitives
import Testing
import Wire

@Suite("a bundle file written piece by piece") struct BundleFileWriterTests {
  private static let manifest = BundleFile.Manifest(
    kind: .range, network: Digest((1, 2, 3, 4)), first: BatchNumber(7), last: BatchNumber(9))

  /// Objects of these lengths; the last makes the writer flush in the middle.
  private static let objects: [[UInt8]] = [0, 1, 63, 4_096, 3 << 20].map { count in
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) }
  }

  @Test("it is the file that is made at once")
  func same() throws { try withFolder { try same(at: $0 + "/day.nvb") } }

  private func same(at path: String) throws {
    var list = ByteWriter()
    for object in Self.objects { ObjectList.append(object, to: &list) }
    let expected = BundleFile.encoded(
      Self.manifest, [(.genesis, [1, 2, 3]), (.batches, list.bytes), (.checkpoints, [])])

    var writer = try BundleFileWriter.begin(path, Self.manifest, sectionCount: 3)
    try writer.write(.genesis, [1, 2, 3])
    try writer.begin(.batches)
    for object in Self.objects { try writer.add(object: object) }
    try writer.end()
    try writer.begin(.checkpoints)
    try writer.end()
    let count = try writer.finish()
    #expect(count == expected.count)
    #expect(try Files.read(path, byteCountMax: 1 << 24) == expected)
    #expect(try BundleFile(expected).manifest == Self.manifest)
  }

  @Test("a file given up leaves nothing, and what bore the name stays")
  func givenUp() throws { try withFolder { try givenUp(at: $0 + "/day.nvb") } }

  private func givenUp(at path: String) throws {
    try Files.create(path, [9])
    do {
      var writer = try BundleFileWriter.begin(path, Self.manifest, sectionCount: 1)
      try writer.begin(.batches)
      try writer.add(object: [1])
    }
    #expect(try Files.read(path, byteCountMax: 8) == [9])
    #expect(!Files.exists("\(path).part-\(getpid())"))
  }

  @Test("a folder that is not there is refused")
  func noFolder() {
    #expect(throws: FileFailure.self) {
      _ = try BundleFileWriter.begin("/no/such/folder/a.nvb", Self.manifest, sectionCount: 1)
    }
  }
}
