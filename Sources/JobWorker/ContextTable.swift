import JobABI

// The C functions a plugin calls. Each finds its session through `host_data` and hands on.

/// Where `job_context.host_data` points to while a run is under way.
struct ContextLink {
    var session: Unmanaged<RunSession>
    var stored: StoredState
}

/// The job's state when the run began, lent for the run.
struct StoredState {
    var version: UInt32
    var bytes: job_str
}

private func link(_ context: UnsafePointer<job_context>?) -> ContextLink? {
    context?.pointee.host_data?.assumingMemoryBound(to: ContextLink.self).pointee
}
private func session(_ context: UnsafePointer<job_context>?) -> RunSession? {
    link(context)?.session.takeUnretainedValue()
}

enum ContextTable {
    /// Functions only; the run's values are filled in for each run.
    static var template: job_context {
        var context = job_context()
        context.struct_size = UInt32(MemoryLayout<job_context>.size)
        context.is_cancelled = { session($0)?.isCancelled == true ? 1 : 0 }
        context.cancel_fd = { session($0)?.cancelDescriptor ?? -1 }
        context.remaining_ms = { session($0)?.remainingMilliseconds ?? 0 }
        context.progress = { session($0)?.progress($1, $2, $3) }
        context.log = { session($0)?.log($1, $2, $3) }
        context.summary = { session($0)?.summary($1) }
        context.fail = { session($0)?.fail($1, $2) }
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
        context.state_put = { session($0)?.putState($1, $2, $3) ?? JOB_E_INVALID }
        context.items = { session($0)?.items($1) }
        context.enqueue = { session($0)?.enqueue($1, $2, $3, $4) ?? JOB_E_INVALID }
        context.snooze_until = { session($0)?.snooze(until: $1) }
        context.retry_not_before = { session($0)?.retry(notBefore: $1) }
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
        metrics.pointee.counter = { session($0)?.metric(.counter, $1, $2, $3, $4) ?? JOB_E_INVALID }
        metrics.pointee.gauge = { session($0)?.metric(.gauge, $1, $2, $3, $4) ?? JOB_E_INVALID }
        metrics.pointee.histogram = { session($0)?.metric(.histogram, $1, $2, $3, $4) ?? JOB_E_INVALID }

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

    private static func permanent(_ text: String) -> job_str {
        guard !text.isEmpty else { return job_str() }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
        copy.copyBytes(from: text.utf8)
        return job_str(UnsafeRawBufferPointer(copy))
    }
}
