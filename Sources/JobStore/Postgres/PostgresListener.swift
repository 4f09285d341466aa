import SQL
import Synchronization

/// The thread that listens for notifications, on a connection of its own that runs nothing else: it
/// is never in a transaction, so it holds back no vacuum.
final class PostgresListener: Sendable {
    private let address: PostgresAddress
    private let channel: String
    private let callback = Mutex<(@Sendable () -> Void)?>(nil)
    private let stopped = Mutex(false)
    /// Rung when it is time to stop.
    private let bell: PostgresBell

    init(address: PostgresAddress, channel: String) throws {
        self.address = address
        self.channel = channel
        bell = try PostgresBell()
    }

    func heard(_ body: @escaping @Sendable () -> Void) { callback.withLock { $0 = body } }

    func stop() {
        stopped.withLock { $0 = true }
        bell.ring()
    }

    /// Until `stop`. While the server is away it is tried every 2 seconds.
    func run() {
        while !stopped.withLock({ $0 }) {
            do {
                try listen()
            } catch {
                bell.wait(milliseconds: ReconnectPace.longest.milliseconds)
            }
        }
    }

    private func listen() throws {
        var options = PostgresOptions()
        options.applicationName = "jobhost listen"
        let connection = try PostgresConnection(address, options: options)
        defer { connection.close() }
        try connection.execute("LISTEN \(PostgresMigrations.quoted(channel))")
        // What came while nobody listened.
        callback.withLock { $0 }?()
        while !stopped.withLock({ $0 }) {
            if try connection.notifications(bell: bell, milliseconds: 30_000) > 0 { callback.withLock { $0 }?() }
        }
    }
}
