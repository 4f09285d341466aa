import JobABI
import JobCore

// The C functions a plugin calls. Each finds its session through `host_data` and hands on.

/// Where `job_context.host_data` points to.
struct ContextLink {
    var session: Unmanaged<RunSession>
    /// Which of the session's calls of the plugin the context was made for.
    var call: UInt64
    var stored: StoredState
}

/// The job's state when the run began, lent for the run.
struct StoredState {
    var version: UInt32
    var bytes: job_str
}

/// The contexts of the latest calls, each at a place of its own for the next 64: a thread of the plugin that outlives its
/// run, against the contract, finds the context that it was given, which is not that of the run under way. Written by the
/// main thread.
struct ContextShelf: @unchecked Sendable {
    private static let places: UInt64 = 64
    // Never freed: the session lives as long as the process.
    private let contexts = UnsafeMutablePointer<job_context>.allocate(capacity: Int(places))
    private let links = UnsafeMutablePointer<ContextLink>.allocate(capacity: Int(places))

    func withContext(
        _ template: job_context, _ link: ContextLink, _ body: (UnsafePointer<job_context>) -> Int32
    ) -> Int32 {
        let place = Int(link.call % Self.places)
        let (context, itsLink) = (contexts + place, links + place)
        itsLink.initialize(to: link)
        context.initialize(to: template)
        context.pointee.host_data = UnsafeMutableRawPointer(itsLink)
        defer {
            // What was lent for the call is gone.
            itsLink.pointee.stored = StoredState(version: 0, bytes: job_str())
            context.pointee.idempotency_key = job_str()
            context.pointee.trigger = job_str()
            context.pointee.job = job_str()
            context.pointee.payload = job_str()
        }
        return body(UnsafePointer(context))
    }
}

private func link(_ context: UnsafePointer<job_context>?) -> ContextLink? {
    context?.pointee.host_data?.assumingMemoryBound(to: ContextLink.self).pointee
}
private func session<Result>(
    _ context: UnsafePointer<job_context>?, _ body: (RunSession, _ call: UInt64) -> Result
) -> Result? {
    link(context).map { body($0.session.takeUnretainedValue(), $0.call) }
}

enum ContextTable {
    /// Functions only; the run's values are filled in for each run.
    static var template: job_context {
        var context = job_context()
        context.struct_size = UInt32(MemoryLayout<job_context>.size)
        context.is_cancelled = { session($0) { $0.isCancelled($1) } == true ? 1 : 0 }
        context.cancel_fd = { session($0) { session, _ in session.cancelDescriptor } ?? -1 }
        context.remaining_ms = { session($0) { $0.remainingMilliseconds($1) } ?? 0 }
        context.progress = { context, done, total, text in session(context) { $0.progress($1, done, total, text) } }
        context.log = { context, level, text, fields in session(context) { $0.log($1, level, text, fields) } }
        context.summary = { context, text in session(context) { $0.summary($1, text) } }
        context.fail = { context, code, text in session(context) { $0.fail($1, code, text) } }
        context.state_get = { context, version, bytes in
            guard let stored = link(context)?.stored, stored.version > 0 else {
                version?.pointee = 0
                bytes?.pointee = job_str()
                return 0
            }
            version?.pointee = stored.version
            bytes?.pointee = stored.bytes
            return 1
        }
        context.state_put = { context, version, bytes, when in
            session(context) { $0.putState($1, version, bytes, when) } ?? JOB_E_INVALID
        }
        context.items = { context, count in session(context) { $0.items($1, count) } }
        context.enqueue = { context, job, payload, key, at in
            session(context) { $0.enqueue($1, job, payload, key, at) } ?? JOB_E_INVALID
        }
        context.snooze_until = { context, at in session(context) { $0.snooze($1, until: at) } }
        context.retry_not_before = { context, at in session(context) { $0.retry($1, notBefore: at) } }
        return context
    }
}

/// `job_host` and the extensions: made once, never freed, unchanged from then on.
struct HostTable: @unchecked Sendable {
    let pointer: UnsafePointer<job_host>

    init(name: String) {
        let metrics = UnsafeMutablePointer<job_metrics>.allocate(capacity: 1)
        metrics.initialize(to: job_metrics())
        metrics.pointee.struct_size = UInt32(MemoryLayout<job_metrics>.size)
        metrics.pointee.counter = { HostTable.metric(.counter, $0, $1, $2, $3, $4) }
        metrics.pointee.gauge = { HostTable.metric(.gauge, $0, $1, $2, $3, $4) }
        metrics.pointee.histogram = { HostTable.metric(.histogram, $0, $1, $2, $3, $4) }

        let host = UnsafeMutablePointer<job_host>.allocate(capacity: 1)
        host.initialize(to: job_host())
        host.pointee.struct_size = UInt32(MemoryLayout<job_host>.size)
        host.pointee.name = HostTable.permanent(name)
        host.pointee.host_data = UnsafeMutableRawPointer(metrics)
        host.pointee.get_extension = { host, id in
            guard Text.exact(id) == JOB_EXT_METRICS else { return nil }
            return UnsafeRawPointer(host?.pointee.host_data)
        }
        pointer = UnsafePointer(host)
    }

    private static func metric(
        _ kind: MetricSample.Kind, _ context: UnsafePointer<job_context>?, _ name: job_str, _ labels: UnsafePointer<job_str>?,
        _ count: UInt32, _ value: Double
    ) -> Int32 {
        session(context) { $0.metric($1, kind, name, labels, count, value) } ?? JOB_E_INVALID
    }

    private static func permanent(_ text: String) -> job_str {
        guard !text.isEmpty else { return job_str() }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
        copy.copyBytes(from: text.utf8)
        return job_str(UnsafeRawBufferPointer(copy))
    }
}
