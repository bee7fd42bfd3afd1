import CZlib

/// Why bytes are no gzip file.
enum GzipFailure: Error, Hashable, Sendable {
  /// The file ends inside a member.
  case truncated
  /// Header, data or checksum is wrong in the member that begins at `offset`.
  case damaged(offset: Int)
  /// The contents pass the maximum.
  case tooLarge(maximum: Int)
  /// zlib could not start, with its code.
  case unavailable(code: Int32)
}

extension GzipFailure: CustomStringConvertible {
  var description: String {
    switch self {
    case .truncated: "the gzip file ends too early"
    case .damaged(let offset): "the gzip member at byte \(offset) is damaged"
    case .tooLarge(let maximum): "the gzip file holds more than \(maximum) bytes"
    case .unavailable(let code): "zlib failed to start with code \(code)"
    }
  }
}

/// Gzip (RFC 1952) through zlib (https://zlib.net/manual.html).
enum Gzip {
  /// The linked zlib, such as `1.2.13`.
  static var version: String { unsafe String(cString: zlibVersion()) }

  /// Whether the bytes begin as a gzip file does.
  static func isCompressed(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1F, 0x8B]) }

  /// The contents of every member, one behind the other, checksums checked.
  /// - Throws: `.truncated`, `.damaged`, `.tooLarge`, `.unavailable`. Nothing may follow the last
  ///   member.
  static func contents(of bytes: [UInt8], byteCountMax: Int) throws(GzipFailure) -> [UInt8] {
    guard bytes.count <= Int(UInt32.max) else { throw .tooLarge(maximum: Int(UInt32.max)) }
    // zlib remembers the stream's address: it must not move.
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    defer { unsafe stream.deallocate() }
    let code = unsafe novate_gunzip_begin(stream)
    guard code == Z_OK else { throw .unavailable(code: code) }
    defer { unsafe _ = inflateEnd(stream) }
    return try unsafe inflate(bytes, with: stream, byteCountMax: byteCountMax)
  }

  private static func inflate(
    _ bytes: [UInt8], with stream: UnsafeMutablePointer<z_stream>, byteCountMax: Int
  ) throws(GzipFailure) -> [UInt8] {
    var input = bytes
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    var out: [UInt8] = []
    var offset = 0
    var member = 0
    while true {
      let count = bytes.count - offset
      let (code, taken, made) = unsafe step(stream, &input, offset, &chunk)
      guard out.count + made <= byteCountMax else { throw .tooLarge(maximum: byteCountMax) }
      out.append(contentsOf: chunk[..<made])
      offset += taken
      switch code {
      case Z_STREAM_END:
        if offset == bytes.count { return out }
        member = offset
        let reset = unsafe inflateReset(stream)
        guard reset == Z_OK else { throw .unavailable(code: reset) }
      case Z_OK, Z_BUF_ERROR:
        // No progress: what is left is too little.
        if made == 0 && (taken == 0 || taken == count) { throw .truncated }
      case Z_MEM_ERROR: throw .unavailable(code: code)
      default: throw .damaged(offset: member)
      }
    }
  }

  /// One call of `inflate`, its pointers lent for no longer.
  private static func step(
    _ stream: UnsafeMutablePointer<z_stream>, _ input: inout [UInt8], _ offset: Int,
    _ chunk: inout [UInt8]
  ) -> (code: Int32, taken: Int, made: Int) {
    unsafe input.withUnsafeMutableBufferPointer { source in
      unsafe chunk.withUnsafeMutableBufferPointer { target in
        let available = source.count - offset
        unsafe stream.pointee.next_in = source.baseAddress.map { unsafe $0 + offset }
        unsafe stream.pointee.avail_in = UInt32(available)
        unsafe stream.pointee.next_out = target.baseAddress
        unsafe stream.pointee.avail_out = UInt32(target.count)
        let code = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
        let taken = available - Int(unsafe stream.pointee.avail_in)
        let made = target.count - Int(unsafe stream.pointee.avail_out)
        return (code, taken, made)
      }
    }
  }
}
