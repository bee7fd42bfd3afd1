public import Commitments
import Glibc
import Primitives

/// Why a file of a client could not be read or written.
public enum FileFailure: Error, Hashable, Sendable {
  /// A call on the path failed, with its `errno`.
  case call(String, path: String, code: Int32)
  /// Not a regular file.
  case kind(path: String)
  /// More bytes than such a file has.
  case tooLarge(path: String, maximum: Int)
  /// Others may read the key: its mode.
  case permissions(path: String, mode: UInt32)
  /// Not a key file's two lines.
  case keyForm(path: String)
  /// The seed gives no key here.
  case key(SignatureFailure, path: String)
}

extension FileFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .call(let call, let path, let code):
      let reason = unsafe String(cString: strerror(code))
      return "\(path): \(call) failed: \(reason)"
    case .kind(let path): return "\(path): expected a regular file"
    case .tooLarge(let path, let maximum):
      return "\(path): expected at most \(maximum) bytes, found more"
    case .permissions(let path, let mode):
      return
        "\(path): expected a key that only its owner may read (mode 600), found mode \(String(mode, radix: 8))"
    case .keyForm(let path):
      return
        "\(path): expected the line \"\(KeyFile.header)\", then 64 hexadecimal digits, each line with its end"
    case .key(let failure, let path): return "\(path): \(failure)"
    }
  }
}

/// A signing key in a file: a header line, then the seed in lower-case hexadecimal, mode 600.
public enum KeyFile {
  /// The first line.
  public static let header = "novate key 1 ed25519 (secret)"
  /// The whole file.
  public static var byteCount: Int { header.utf8.count + 1 + 64 + 1 }

  /// Reads a key.
  /// - Throws: `.call`, `.kind`, `.permissions` when group or others have any right to the file,
  ///   `.tooLarge`, `.keyForm`, `.key`.
  public static func read(_ path: String) throws(FileFailure) -> SigningKey {
    var bytes = try Files.read(path, byteCountMax: byteCount, isSecret: true)
    defer { Secret.wipe(&bytes) }
    let head = Array((header + "\n").utf8)
    guard bytes.count == byteCount, bytes.starts(with: head),
      bytes.last == UInt8(ascii: "\n"), var seed = seed(bytes[head.count..<(byteCount - 1)])
    else { throw .keyForm(path: path) }
    defer { Secret.wipe(&seed) }
    do throws(SignatureFailure) {
      return try SigningKey(seed: seed)
    } catch {
      throw .key(error, path: path)
    }
  }

  /// Writes a key to a new file, mode 600, and waits until it is on the disk.
  /// - Throws: `.call`, with `EEXIST` when there is a file: a key is never overwritten.
  public static func write(_ key: borrowing SigningKey, to path: String) throws(FileFailure) {
    var bytes = Array((header + "\n").utf8)
    bytes.reserveCapacity(byteCount)
    defer { Secret.wipe(&bytes) }
    key.withSeed { seed in
      for offset in 0..<seed.byteCount {
        let byte: UInt8 = seed.load(at: offset)
        bytes.append(digit(byte >> 4))
        bytes.append(digit(byte & 15))
      }
    }
    bytes.append(UInt8(ascii: "\n"))
    try Files.create(path, bytes, mode: 0o600)
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  private static func seed(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
    var seed: [UInt8] = []
    seed.reserveCapacity(32)
    var high: UInt8?
    for character in digits {
      let value: UInt8
      switch character {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
      default: return nil
      }
      if let first = high {
        seed.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return seed
  }
}
