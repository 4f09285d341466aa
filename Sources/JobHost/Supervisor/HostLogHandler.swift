import JobCore
import Logging

/// swift-log's door to the host's log.
struct HostLogHandler: LogHandler {
    let sink: HostLog
    let clock: any TimeSource
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    init(sink: HostLog, clock: any TimeSource) {
        self.sink = sink
        self.clock = clock
        logLevel = switch sink.level {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
            .map { ($0.key, "\($0.value)") }.sorted { $0.0 < $1.0 }
        let level: LogLevel = switch event.level {
        case .trace, .debug: .debug
        case .info, .notice: .info
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
        sink.log(level, "\(event.message)", fields, at: clock.now().wall)
    }
}
