import Glibc
import JobConfig
import JobCore
import JobStore
import JobTestKit
import Logging
import SQL
import Testing

@testable import JobHost

/// Takes connections and says nothing.
private final class SilentServer {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) | listen(descriptor, 8) | getsockname(descriptor, $0, &size) }
        }
        try #require(code == 0)
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}

/// What listeners hear of an outbox.
@Suite(.timeLimit(.minutes(5))) struct OutboxFollowerTests {
    private struct Stage {
        var hub: EventHub
        var follower: OutboxFollower
        var clock: ManualClock
        var path: String

        func create() throws -> SQLiteConnection {
            let connection = try SQLiteConnection(path: path)
            try connection.execute(
                "CREATE TABLE outbox_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT, key TEXT UNIQUE, payload TEXT, created_ms INTEGER)")
            return connection
        }
        func put(_ connection: SQLiteConnection, _ key: String, ago: Int64 = 0) throws {
            try connection.run("INSERT INTO outbox_events (event, key, payload, created_ms) VALUES ('Sold', ?, '{}', ?)", [
                .text(key), .int((clock.now().wall - .seconds(ago)).milliseconds),
            ])
        }
        /// All that there was since it began to listen.
        func text(_ listener: EventHub.Listener) -> String {
            let found = hub.read(after: listener.start.after, kinds: Set(API.EventKind.allCases), job: nil)
            return String(decoding: found?.bytes ?? [], as: UTF8.self)
        }
        func keys(_ listener: EventHub.Listener) -> [Substring] {
            text(listener).split(separator: "\"key\":\"").dropFirst().map { $0.prefix { $0 != "\"" } }
        }
    }

    private func stage(_ body: (Stage) async throws -> Void) async throws {
        let folder = try TestFolder()
        let (clock, path) = (ManualClock(), folder.path + "/x.db")
        let hub = EventHub(outlet: EventOutlet(), clock: clock)
        let follower = OutboxFollower(
            name: "x", reader: try OutboxReader("sqlite:" + path), hub: hub, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: clock)
        try await body(Stage(hub: hub, follower: follower, clock: clock, path: path))
        withExtendedLifetime(folder.path) {}
    }

    @Test("After a time without listeners each row is told from the moment on in which somebody listens")
    func fromIdleOn() async throws {
        try await stage { stage in
            let connection = try stage.create()
            defer { connection.close() }
            try stage.put(connection, "old")
            _ = await stage.follower.look()
            try stage.put(connection, "unheard")
            _ = await stage.follower.look()
            try stage.put(connection, "just before")
            let listener = try #require(stage.hub.listen(lastID: nil))
            // It was about to pass over what came, and is not let.
            #expect(!stage.hub.pass(outbox: "x", upTo: OutboxPlace(settled: 99, high: 99)))
            try stage.put(connection, "first")
            _ = await stage.follower.look()
            #expect(stage.keys(listener) == ["just before", "first"])
            #expect(stage.hub.id(after: stage.hub.listen(lastID: nil)?.start.after ?? 0)?.hasSuffix("~x=4") == true)
        }
    }

    @Test("Where the database comes later than a listener, it hears of what was made since the host follows it")
    func fromALateDatabaseOn() async throws {
        try await stage { stage in
            _ = await stage.follower.look()
            #expect(await stage.follower.isAway)
            let listener = try #require(stage.hub.listen(lastID: nil))
            stage.clock.advance(by: .seconds(5))
            let connection = try stage.create()
            defer { connection.close() }
            try stage.put(connection, "before", ago: 10)
            try stage.put(connection, "since")
            _ = await stage.follower.look()
            #expect(await !stage.follower.isAway)
            #expect(stage.keys(listener) == ["since"])
        }
    }

    @Test("Who begins to listen while the database is still looked at hears of what was made meanwhile")
    func duringTheFirstLook() async throws {
        try await stage { stage in
            let connection = try stage.create()
            defer { connection.close() }
            try stage.put(connection, "before", ago: 10)
            // Its first look waits for this one.
            try connection.execute("BEGIN EXCLUSIVE")
            async let isMore = stage.follower.look()
            await stage.follower.isAwaited()
            let listener = try #require(stage.hub.listen(lastID: nil))
            try stage.put(connection, "meanwhile")
            try connection.execute("COMMIT")
            _ = await isMore
            _ = await stage.follower.look()
            #expect(stage.keys(listener) == ["meanwhile"])
        }
    }

    @Test("A database that takes a connection and says nothing holds up no listener")
    func aSilentDatabase() async throws {
        let silent = try SilentServer()
        let clock = SystemClock()
        let outboxes = Outboxes(hub: EventHub(outlet: EventOutlet(), clock: clock), log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: clock)
        // Where nothing bounds it, the connection's own patience does.
        await outboxes.use([OutboxSource(name: "x", url: "postgresql://nobody@127.0.0.1:\(silent.port)/none?connect_timeout=3600")])
        await outboxes.areReady()
        await outboxes.stop()
        withExtendedLifetime(silent) {}
    }

    @Test("That rows may be missing is said to who listens")
    func gapsAreTold() async throws {
        try await stage { stage in
            let listener = try #require(stage.hub.listen(lastID: nil))
            stage.hub.tell(outbox: "x", [Array("{}".utf8)], upTo: OutboxPlace(settled: 3, high: 9), isGap: true)
            #expect(stage.text(listener).contains("event: reset\ndata: {\"reason\":\"rows of the outbox x may be missing; read it anew\"}"))
        }
    }
}
