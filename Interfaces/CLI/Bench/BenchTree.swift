import ArgumentParser
import Commitments
import Primitives
import Wire

/// `novate bench tree`: the Merkle tree of the state against nothing but its hashes.
struct BenchTree: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree",
    abstract: "A batch of changed leaves in the state tree, beside the bare hashes.",
    discussion: """
      Leaves drawn at random are set and the root is computed; then as many hashes of 64 bytes as the \
      tree had inner nodes above changed leaves run in a loop over the same memory. The ratio of \
      paired rounds is given; at most 1.3 is asked at 2^20 leaves and 10 000 of them a batch. With \
      --json the last line of stdout is one JSON object.
        novate bench tree --json
      """)

  @Option(help: ArgumentHelp("Leaves, as a power of two.", valueName: "n"))
  var levels = 20

  @Option(help: ArgumentHelp("Leaves a batch changes.", valueName: "n"))
  var batch = 10_000

  @Option(help: ArgumentHelp("Paired rounds.", valueName: "n"))
  var rounds = 41

  @Option(help: ArgumentHelp("What the leaves are drawn with.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    guard (4...24).contains(levels) else {
      throw ValidationError("--levels: expected 4 to 24, found \(levels)")
    }
    guard (1...1 << levels).contains(batch) else {
      throw ValidationError("--batch: expected 1 to \(1 << levels), found \(batch)")
    }
    guard (1...100_000).contains(rounds) else {
      throw ValidationError("--rounds: expected 1 to 100000, found \(rounds)")
    }
  }

  func run() throws {
    var grove = Grove(levels: levels, seed: seed)
    var (tree, bare, ratios): ([Double], [Double], [Double]) = ([], [], [])
    var nodes = 0
    for round in 0..<rounds {
      let leaves = grove.draw(batch)
      nodes = grove.nodeCount(above: leaves)
      var (first, second) = (0.0, 0.0)
      // In turn first and second.
      for side in [round % 2, 1 - round % 2] {
        if side == 0 {
          first = grove.treeSeconds(leaves)
        } else {
          second = grove.bareSeconds(nodes)
        }
      }
      tree.append(first)
      bare.append(second)
      ratios.append(first / second)
    }
    let figures = (
      tree: Percentile(tree).p50, bare: Percentile(bare).p50, ratio: Percentile(ratios).p50
    )
    let leaf = figures.tree / Double(batch) * 1e9
    guard json else {
      Screen.say(
        """
        2^\(levels) leaves, \(batch) changed, \(nodes) inner nodes hashed anew
        a touched leaf  \(fixed(leaf, 0)) ns, of which bare hashes \
        \(fixed(figures.bare / Double(batch) * 1e9, 0)) ns
        ratio           \(fixed(figures.ratio, 3)), at most 1.3
        """)
      return
    }
    // `nodes` is the last round's; the leaves of each round are drawn anew.
    Screen.say(
      JSONValue.object([
        ("schema", "novate.bench.tree/1"), ("version", .string(Version.text)),
        ("leaves", .number(String(1 << levels))), ("batch", .number(String(batch))),
        ("nodes", .number(String(nodes))), ("rounds", .number(String(rounds))),
        ("seed", .number(String(seed))), ("leaf_ns", number(leaf, 1)),
        ("bare_leaf_ns", number(figures.bare / Double(batch) * 1e9, 1)),
        ("ratio", number(figures.ratio, 4)), ("ratio_max", number(1.3, 1)),
      ]).text())
  }
}

/// A full tree, and flat memory of its size for the loop.
private struct Grove: ~Copyable {
  private let levels: Int
  private var tree: IndexedTree
  private var flat: [Digest]
  private var state: UInt64

  init(levels: Int, seed: UInt64) {
    self.levels = levels
    state = seed
    tree = IndexedTree(depth: 32)
    tree.reserve(1 << levels)
    flat = Array(repeating: .zero, count: 1 << levels)
    for index in 0..<(1 << levels) {
      let leaf = next()
      tree.set(index, leaf)
      flat[index] = leaf
    }
    _ = tree.root()
  }

  /// Thirty-two bytes of splitmix64.
  private mutating func next() -> Digest {
    func word() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      return SlotTable.mixed(state)
    }
    return Digest((word(), word(), word(), word()))
  }

  /// Different leaves and what they become.
  mutating func draw(_ count: Int) -> [(index: Int, leaf: Digest)] {
    var taken = [Bool](repeating: false, count: 1 << levels)
    var drawn: [(Int, Digest)] = []
    while drawn.count < count {
      let leaf = next()
      let index = Int(truncatingIfNeeded: leaf.words.0 >> 20) & (1 << levels - 1)
      guard !taken[index] else { continue }
      taken[index] = true
      drawn.append((index, leaf))
    }
    return drawn
  }

  /// Inner nodes above these leaves, each once, up to the root of depth 32.
  func nodeCount(above leaves: [(index: Int, leaf: Digest)]) -> Int {
    var level = Set(leaves.map(\.index))
    var count = 0
    for _ in 0..<32 {
      level = Set(level.map { $0 >> 1 })
      count += level.count
    }
    return count
  }

  mutating func treeSeconds(_ leaves: [(index: Int, leaf: Digest)]) -> Double {
    let start = ProcessorTime.ofThread
    for (index, leaf) in leaves { tree.set(index, leaf) }
    let root = tree.root()
    let seconds = ProcessorTime.ofThread - start
    precondition(root != .zero, "a tree with leaves has a root")
    return seconds
  }

  /// The same number of hashes of two neighbours, over memory as large as the leaves.
  func bareSeconds(_ count: Int) -> Double {
    let start = ProcessorTime.ofThread
    var last = Digest.zero
    let pairs = flat.count / 2
    // A step that visits every pair, far from the one before, as leaves drawn at random are.
    let step = 2 * (pairs / 3) + 1
    var place = 0
    for _ in 0..<count {
      place = (place + step) % pairs
      last = SHA256.pair(flat[2 * place], flat[2 * place + 1])
    }
    let seconds = ProcessorTime.ofThread - start
    precondition(last != .zero, "a hash is not zero")
    return seconds
  }
}
