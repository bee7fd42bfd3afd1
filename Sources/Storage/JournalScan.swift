internal import Primitives

/// Reads a journal's segments in order, for replay and for scrub.
enum JournalScan {
  struct End {
    var segments: [Journal.Segment]
    var offset: Int
    var chain: Digest
    var nextIndex: UInt64
  }

  /// The segments' numbers, in order.
  static func numbers(_ folder: String) throws(StorageFailure) -> [UInt64] {
    try Folder.names(folder).compactMap { name in
      name.hasSuffix(".segment") ? UInt64(name.dropLast(".segment".count), radix: 16) : nil
    }
  }

  /// The highest number that any file here carries or carried.
  static func lastNumber(_ folder: String) throws(StorageFailure) -> UInt64? {
    try Folder.names(folder).compactMap { name in
      UInt64(name.prefix { $0 != "." }, radix: 16)
    }.max()
  }

  /// Checks every group, hands those from `first` on to the body, and answers where the next group
  /// goes; nil for an empty journal. Without `first`, wherever it begins is right.
  static func replay(
    _ folder: String, _ network: Digest?, from first: UInt64?,
    _ body: (UInt64, RawSpan) throws(StorageFailure) -> Void
  ) throws(StorageFailure) -> End? {
    var end: End?
    for number in try numbers(folder) {
      let file = try File(Journal.path(folder, number), .read)
      let bytes = try file.read(try file.byteCount(), at: 0)
      let header = JournalSegmentHeader(bytes.rawSpan)
      guard let header, header.number == number else {
        throw .journalDamaged(segment: number, offset: 0, index: end?.nextIndex ?? first ?? 0)
      }
      if let network, network != header.network {
        throw .otherNetwork(expected: network, found: header.network)
      }
      if let end {
        // The header promises that every group before it was durable.
        guard end.nextIndex == header.firstIndex, end.chain == header.chain,
          end.segments[end.segments.count - 1].number + 1 == number
        else {
          throw .journalDamaged(
            segment: end.segments[end.segments.count - 1].number, offset: UInt64(end.offset),
            index: end.nextIndex)
        }
      } else if let first, header.firstIndex > first {
        throw .journalGap(expected: first, found: header.firstIndex)
      }
      var segments = end?.segments ?? []
      segments.append(Journal.Segment(number: number, firstIndex: header.firstIndex))
      end = try walk(bytes.rawSpan, header, segments, from: first ?? 0, body)
    }
    return end
  }

  private static func walk(
    _ bytes: RawSpan, _ header: JournalSegmentHeader, _ segments: [Journal.Segment],
    from first: UInt64, _ body: (UInt64, RawSpan) throws(StorageFailure) -> Void
  ) throws(StorageFailure) -> End {
    var end = End(
      segments: segments, offset: JournalSegmentHeader.byteCount, chain: header.chain,
      nextIndex: header.firstIndex)
    while let (group, payload, chain) = JournalGroup.parse(
      bytes, at: end.offset, segment: header.number),
      group.index == end.nextIndex, group.before == end.chain
    {
      if group.index >= first { try body(group.index, bytes.extracting(payload)) }
      end.offset += JournalGroup.byteCount(payload: payload.count)
      end.chain = chain
      end.nextIndex += 1
    }
    // A group written after this one was synced proves that this one is damaged, not torn.
    var offset = end.offset
    while offset + JournalGroup.headerByteCount <= bytes.byteCount {
      if bytes.load(at: offset) == JournalGroup.magic,
        let later = JournalGroup.parse(bytes, at: offset, segment: header.number),
        later.group.durable > end.nextIndex
      {
        throw .journalDamaged(
          segment: header.number, offset: UInt64(end.offset), index: end.nextIndex)
      }
      offset += JournalGroup.alignment
    }
    return end
  }
}
