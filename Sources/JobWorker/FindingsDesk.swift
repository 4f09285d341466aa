import JobABI
import JobCore
import Synchronization

/// The host's side of `job_findings`: what a doctor finds is bounded and told at once, so that
/// it outlives a crash.
final class FindingsDesk: Sendable {
    private struct Count {
        var told = 0
        var dropped: UInt32 = 0
    }
    private let count = Mutex(Count())
    private let output: Output

    init(_ output: Output) { self.output = output }

    /// How many were more than are kept.
    var dropped: UInt32 { count.withLock { $0.dropped } }

    /// Lends the plugin a place for its findings.
    func withTable(_ body: (UnsafePointer<job_findings>) -> Int32) -> Int32 {
        var findings = job_findings()
        findings.struct_size = UInt32(MemoryLayout<job_findings>.size)
        findings.host_data = Unmanaged.passUnretained(self).toOpaque()
        findings.add = { findings, level, subject, text in
            guard let desk = findings?.pointee.host_data else { return }
            Unmanaged<FindingsDesk>.fromOpaque(desk).takeUnretainedValue().add(level, subject, text)
        }
        return withUnsafePointer(to: findings, body)
    }

    /// On any thread of the plugin.
    private func add(_ level: Int32, _ subject: job_str, _ text: job_str) {
        let isKept = count.withLock { count in
            guard count.told < Int(JOB_MAX_FINDINGS) else {
                count.dropped &+= 1
                return false
            }
            count.told += 1
            return true
        }
        guard isKept else { return }
        let level = UInt8(exactly: level).flatMap(PluginFinding.Level.init(rawValue:)) ?? .error
        output.send(
            .finding(
                PluginFinding(
                    level, Text.clean(subject, limit: Int(JOB_MAX_ID)), Text.clean(text, limit: Text.maximum))))
    }
}
