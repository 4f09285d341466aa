import JobABI

/// What a doctor is given and tells its findings to. Valid until `doctor` returns; until then it
/// may be used from any thread, which is why it is Sendable.
///
/// ```swift
/// func doctor(_ check: DoctorContext) throws {
///     let pairs = try activePairs()
///     if pairs.isEmpty { check.error("pairs", "no pair is active: nothing will be made") }
///     else { check.ok("pairs", "\(pairs.count) active") }
/// }
/// ```
public struct DoctorContext: @unchecked Sendable {
    /// There is no run: time limits and cancellation are as in one, the rest has no effect.
    public let context: RunContext
    private let findings: UnsafePointer<job_findings>

    init(_ raw: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>) {
        context = RunContext(raw)
        self.findings = findings
    }

    public enum Level: Int32, Sendable { case ok = 1, warning, error }

    /// Tells one finding.
    /// - Parameters:
    ///   - subject: one or two words for what was looked at, the same every time: "pairs".
    ///   - text: one sentence with numbers and, unless all is well, what to do.
    public func tell(_ level: Level, _ subject: String, _ text: String) {
        subject.withJobStr { subject in
            text.withJobStr { findings.pointee.add(findings, level.rawValue, subject, $0) }
        }
    }
    /// Looked at, and well.
    public func ok(_ subject: String, _ text: String) { tell(.ok, subject, text) }
    /// The job works, but somebody should look.
    public func warning(_ subject: String, _ text: String) { tell(.warning, subject, text) }
    /// The job cannot do its work, or does it wrongly.
    public func error(_ subject: String, _ text: String) { tell(.error, subject, text) }

    /// Looks at one subject: an error that `body` throws is a finding, and the others are still
    /// looked at. Cancellation alone goes on.
    public func look(at subject: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let notice as CancellationNotice {
            throw notice
        } catch let failure {
            error(subject, describe(failure))
        }
    }

    /// The job's name in the config.
    public var job: String { context.job }
    /// The present instant, microseconds since 1970 UTC.
    public var nowMicroseconds: Int64 { context.fireTimeMicroseconds }
    /// Throws `CancellationNotice` once the time is up.
    public func checkCancellation() throws { try context.checkCancellation() }
}
