import Execution
import Node
import Primitives
import Wire

/// Sends order books with their trades, and accounts' orders with their fills and acknowledgements,
/// to whoever follows them: an update a batch, once the batch is durable.
///
/// One thread keeps what is followed, from what the apply thread saw change: it costs next to nothing
/// while nobody follows. A follower that reads too slowly misses no update: it gets them, or the whole
/// state, once it has read.
final class MarketFeed: @unchecked Sendable {
  // Sound to share: `channels` and `followers` belong to the feed's own thread.

  private enum Letter: Sendable {
    case batch(MarketBatch, body: [UInt8])
    case follow(FollowMarketMessage, Connection, requestID: UInt64)
    case forget(Connection)
  }

  private struct Follower {
    let connection: Connection
    let requestID: UInt64
    let subject: Subject
    /// The batch of the newest update sent.
    var held: BatchNumber
  }

  /// Subjects a connection may follow.
  private static let perConnectionMax = 1_024

  let followed = FollowedSubjects()
  private let box = MailBox<Letter>()
  private var channels: [Subject: MarketChannel] = [:]
  private var followers: [Follower] = []
  private var thread: NamedThread?

  init() {
    thread = NamedThread("market", priority: .prompt) { [unowned self] in
      while true {
        let letters = self.box.takeAll()
        if letters.isEmpty { return }
        for letter in letters { self.take(letter) }
      }
    }
  }

  func follow(_ message: FollowMarketMessage, _ connection: Connection, requestID: UInt64) {
    box.put(.follow(message, connection, requestID: requestID))
  }

  func forget(_ connection: Connection) { box.put(.forget(connection)) }

  /// Publishes a durable batch.
  func publish(_ batch: MarketBatch, body: [UInt8]) { box.put(.batch(batch, body: body)) }

  func stop() {
    box.close()
    thread?.join()
  }

  private func take(_ letter: Letter) {
    switch letter {
    case .batch(let batch, let body): publish(batch, body)
    case .follow(let message, let connection, let requestID): add(message, connection, requestID)
    case .forget(let connection): remove { $0.connection.id == connection.id }
    }
  }

  // MARK: - Followers

  private func add(
    _ message: FollowMarketMessage, _ connection: Connection, _ requestID: UInt64
  ) {
    guard !connection.isClosed else { return }
    let own = followers.count { $0.connection.id == connection.id }
    guard own < MarketFeed.perConnectionMax else {
      connection.refuse(requestID, ErrorMessage(.busy, "too many markets followed"))
      return
    }
    followers.append(
      Follower(
        connection: connection, requestID: requestID, subject: message.subject,
        held: message.after))
    // What nobody followed before comes with the next batch.
    if channels[message.subject] == nil {
      followed.want(message.subject)
    } else {
      catchUp(followers.count - 1)
    }
  }

  private func remove(_ isGone: (Follower) -> Bool) {
    let left = Set(followers.filter(isGone).map(\.subject))
    followers.removeAll(where: isGone)
    for subject in left where !followers.contains(where: { $0.subject == subject }) {
      channels[subject] = nil
      followed.drop(subject)
    }
  }

  /// Sends a follower what it lacks: the updates since, if they are all at hand, or the whole state.
  private func catchUp(_ place: Int) {
    let follower = followers[place]
    guard let channel = channels[follower.subject], follower.held != channel.last,
      follower.connection.isWritable
    else { return }
    for bytes in channel.updates(after: follower.held) {
      follower.connection.send(
        type: channel.messageType, flags: [.response, .more], requestID: follower.requestID,
        body: bytes)
    }
    followers[place].held = channel.last
  }

  private func refuse(_ subject: Subject) {
    for follower in followers where follower.subject == subject {
      follower.connection.refuse(
        follower.requestID, ErrorMessage(.notFound, "execution does not know \(subject)"))
    }
    remove { $0.subject == subject }
  }

  // MARK: - Batches

  private func publish(_ batch: MarketBatch, _ body: [UInt8]) {
    var fresh: Set<Subject> = []
    for (id, levels) in batch.books {
      fresh.insert(.market(id))
      guard let levels else {
        refuse(.market(id))
        continue
      }
      channels[.market(id)] = MarketChannel(market: id, levels, batch)
    }
    for (id, orders) in batch.orders {
      fresh.insert(.account(id))
      guard let orders else {
        refuse(.account(id))
        continue
      }
      channels[.account(id)] = MarketChannel(account: id, orders, batch)
    }
    for (subject, news) in MarketNews.sorted(batch, body) where !fresh.contains(subject) {
      channels[subject]?.take(news, batch)
    }
    for place in followers.indices { catchUp(place) }
  }
}

/// What a batch says of one subject.
struct MarketNews {
  var changes: [OrderChange] = []
  var fills: [Fill] = []
  var triggered: [Triggered] = []
  var acknowledgements: [Acknowledgement] = []

  /// A batch's news by subject.
  static func sorted(_ batch: MarketBatch, _ body: [UInt8]) -> [Subject: MarketNews] {
    var news: [Subject: MarketNews] = [:]
    for change in batch.changes {
      news[.market(change.instrument), default: MarketNews()].changes.append(change)
      news[.account(change.account), default: MarketNews()].changes.append(change)
    }
    let body = decoded(body)
    for word in body.events(.triggered, as: Triggered.self) {
      news[.account(word.account), default: MarketNews()].triggered.append(word)
    }
    for fill in body.events(.fill, as: Fill.self) {
      news[.market(fill.instrument), default: MarketNews()].fills.append(fill)
      news[.account(fill.maker), default: MarketNews()].fills.append(fill)
      if fill.taker != fill.maker {
        news[.account(fill.taker), default: MarketNews()].fills.append(fill)
      }
    }
    for leaf in batch.acknowledgements {
      news[.account(leaf.account), default: MarketNews()].acknowledgements.append(leaf)
    }
    return news
  }

  private static func decoded(_ body: [UInt8]) -> BatchBody {
    do {
      return try BatchBody(body)
    } catch {
      preconditionFailure("a body this process made: \(error)")
    }
  }
}

extension BatchBody {
  /// Its events of one kind, in order.
  fileprivate func events<Record: FlatRecord>(_ kind: EventKind, as: Record.Type) -> [Record] {
    (0..<eventCount).compactMap { eventKind($0) == kind ? event($0, as: Record.self) : nil }
  }
}
