public import ArgumentParser

/// The command line every layer shares.
public struct LayerOptions: ParsableArguments {
  @Option(help: "The genesis manifest; keys are read from the folder 'keys' beside it.")
  public var genesis: String

  @Option(help: "The data folder; made if it is not there.")
  public var data: String

  @Option(help: "Where to listen: HOST:PORT or unix:PATH.")
  public var listen: String?

  @Option(help: "A layer to connect to; may stand several times.")
  public var peer: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Where a restored folder learns what it signed: the address of another layer, or a bundle \
      file; may stand several times. Default: the peers.
      """, valueName: "source"))
  public var recoverFrom: [String] = []

  @Option(help: "A JSON file with operator settings.")
  public var config: String?

  @Option(help: "Where to serve /metrics and /health over HTTP: HOST:PORT. Default: nowhere.")
  public var metrics: String?

  @Option(help: "json or text, on stderr.")
  public var logFormat: String = "json"

  public init() {}
}
