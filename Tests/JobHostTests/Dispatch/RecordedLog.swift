import Logging
import Synchronization

/// What was logged, in order.
final class RecordedLog: Sendable {
    private let entries = Mutex<[(level: Logger.Level, text: String)]>([])
    /// Of that level, without their fields.
    func lines(_ level: Logger.Level) -> [String] { entries.withLock { $0.filter { $0.level == level }.map(\.text) } }
    var logger: Logger { Logger(label: "test") { _ in Handler(record: self) } }

    private struct Handler: LogHandler {
        let record: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { record.entries.withLock { $0.append((event.level, "\(event.message)")) } }
    }
}
