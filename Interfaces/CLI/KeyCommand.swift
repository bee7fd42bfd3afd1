import ArgumentParser
import Client
import Commitments
import Primitives
import Wire

/// `novate key`: Ed25519 keys in files.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make and show Ed25519 signing keys.",
    subcommands: [New.self, Show.self])

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "new",
      abstract: "Write a fresh key to a new file, mode 600, and print its public half.")

    @Argument(help: "The file; it must not be there yet.")
    var file: String

    func run() throws {
      let key = SigningKey.random()
      try KeyFile.write(key, to: file)
      Screen.say("\(key.publicKey)")
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Print the public half of a key file.")

    @Argument(help: "The key file.")
    var file: String

    @Flag(help: "As one JSON object.")
    var json = false

    func run() throws {
      let key = try KeyFile.read(file)
      guard json else { return Screen.say("\(key.publicKey)") }
      let value: JSONValue = [
        "file": .string(file), "algorithm": "ed25519", "public_key": .string("\(key.publicKey)"),
      ]
      Screen.say(value.text())
    }
  }
}
