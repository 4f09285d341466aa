import SQL
import Synchronization

/// The thread that listens for notifications, on a connection of its own that runs nothing else: it
/// is never in a transaction, so it holds back no vacuum.
final class PostgresListener: Sendable {
    private let address: PostgresAddress
    private let channel: String
    private struct Ear {
        var callback: (@Sendable () -> Void)?
        var isListening = false
    }
    private let ear = Mutex(Ear())
    private let stopped = Mutex(false)
    /// Rung when it is time to stop.
    private let bell: PostgresBell

    init(address: PostgresAddress, channel: String) throws {
        self.address = address
        self.channel = channel
        bell = try PostgresBell()
    }

    /// `body` is called at once, too, if what came before could have been heard already.
    func heard(_ body: @escaping @Sendable () -> Void) {
        let isListening = ear.withLock { ear in
            ear.callback = body
            return ear.isListening
        }
        if isListening { body() }
    }

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
        ear.withLock { ear in
            ear.isListening = true
            return ear.callback
        }?()
        defer { ear.withLock { $0.isListening = false } }
        while !stopped.withLock({ $0 }) {
            if try connection.notifications(bell: bell, milliseconds: 30_000) > 0 { ear.withLock { $0.callback }?() }
        }
    }
}
