import JobConfig
import JobCore
import JobJSON
import Synchronization
import UnixSignals

/// `jobhost exec`: one run of a job in the foreground, with the real worker and the real limits,
/// but no ledger, no schedule, no breaker and no host.
enum Foreground {
    static func execute(
        _ request: ExecutionRequest, _ environment: [String: String],
        onLine: @escaping @Sendable (API.LogLine) -> Void
    ) async throws -> API.Execution {
        let clock = SystemClock()
        let scratch = try ScratchFolder()
        defer { scratch.remove() }
        let config = try ConfigLoader.load(
            file: request.config, environment: environment, zones: SystemZones(environment: environment))
        guard config.jobs[request.job] != nil else {
            throw CommandError.unknownJob(request.job, among: config.jobs.keys)
        }
        let parts = try HostParts(
            config: config, clock: clock, environment: environment, stateDir: scratch.path,
            adjust: { (config) throws(ConfigErrors) in try only(request.job, settings: request.settings, in: config) })
        let wishes = StopWishes()
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let listener = Task { for await signal in signals { wishes.ask(signal == .sigint ? "Ctrl-C" : "\(signal)".uppercased()) } }
        defer { listener.cancel() }
        do {
            let execution = try await execute(request, parts, environment, clock, wishes, onLine)
            await parts.stop()
            return execution
        } catch {
            await parts.stop()
            throw error
        }
    }

    private static func execute(
        _ request: ExecutionRequest, _ parts: HostParts, _ environment: [String: String], _ clock: SystemClock,
        _ wishes: StopWishes, _ onLine: @escaping @Sendable (API.LogLine) -> Void
    ) async throws -> API.Execution {
        let outcome = await parts.builder.build(
            file: request.config, environment: environment, previous: nil, accepted: [])
        guard case .ready(let generation, let report) = outcome, let job = generation.jobs[request.job] else {
            let reasons = outcome.report.errors + outcome.report.jobs.map(\.detail).filter { !$0.isEmpty }
            throw CommandError(.invalid, reasons.isEmpty ? "\(request.job) cannot run" : reasons.joined(separator: "\n"))
        }
        for warning in report.warnings { onLine(line(clock, "warning", warning)) }
        if let problem = PayloadCheck.problem(request.payload ?? [], schema: job.entry.payloadSchema) {
            throw CommandError(.invalid, "the payload is refused: \(problem)")
        }
        var end = await run(request, job, generation, parts, clock, wishes, onLine)
        // Nobody but the user at this terminal asks it to stop.
        if let word = wishes.word {
            end.reason = end.reason.replacing(CancelReason.operatorAsked.rawValue, with: "cancelled by \(word)")
        }
        return API.Execution(
            job: request.job, outcome: end.outcome, reason: end.reason, code: end.code, items: end.items,
            durationUs: end.startedAt.map { (end.finishedAt - $0).microseconds } ?? 0)
    }

    /// Only the job, with the settings given on the command line over its own.
    static func only(
        _ name: String, settings: [(key: String, value: JSON)] = [], in config: HostConfig
    ) throws(ConfigErrors) -> HostConfig {
        guard var job = config.jobs[name] else {
            throw ConfigErrors([ConfigError(position: nil, message: "there is no job '\(name)'")])
        }
        for (key, value) in settings {
            let path = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            // Faults of it are blamed on the command line, not on the file.
            let place = SourcePosition(argument: "--set \(key)=\(value.stringValue ?? value.canonicalText)")
            job.settings = job.settings.setting(path[...], to: value, at: place)
        }
        job.enabled = true
        // A follower's leader is not here.
        if case .after? = job.schedule { job.schedule = ScheduleSpec.none }
        var config = config
        config.jobs = [name: job]
        config.plugins = config.plugins.filter { $0.key == job.plugin }
        return config
    }

    private static func run(
        _ request: ExecutionRequest, _ job: ResolvedJob, _ generation: Generation, _ parts: HostParts,
        _ clock: SystemClock, _ wishes: StopWishes, _ onLine: @escaping @Sendable (API.LogLine) -> Void
    ) async -> AttemptEnd {
        let id = RunID(1)
        let now = clock.now().wall
        let attempt = AttemptRequest(
            run: id, job: request.job, entry: job.config.entry, pool: job.pool, attempt: 1, trigger: .manual,
            fireTime: now, fence: 1, idempotencyKey: "exec-\(now.microseconds)", payload: request.payload ?? [],
            settings: job.settings, timeout: job.config.timeout, killGrace: job.config.killGrace,
            heartbeat: job.config.heartbeat)
        let follower = LogFollower(logs: parts.runLogs, job: request.job, run: id, onLine: onLine)
        let end = await withCheckedContinuation { (continuation: CheckedContinuation<AttemptEnd, Never>) in
            let (handle, pools) = (parts.handle, generation.pools)
            handle.loop.post {
                var fault = "no worker began it"
                var waiting: CheckedContinuation<AttemptEnd, Never>? = continuation
                func heard(_ event: ProcessEvent) {
                    switch event {
                    case .ended(let end): waiting.take()?.resume(returning: end)
                    case .returned:
                        // A host would give it to another worker later.
                        waiting.take()?.resume(returning: AttemptEnd(
                            run: id, job: request.job, outcome: .lost, startedAt: nil, finishedAt: clock.now().wall, reason: fault))
                    case .hostFault(_, let message?), .poolRefused(_, let message):
                        fault = message
                        onLine(line(clock, "error", message))
                    default: break
                    }
                }
                handle.room.handler = { $0.forEach(heard) }
                handle.room.hide(generation.config.secrets)
                handle.room.configure(pools: pools, drain: .zero)
                handle.room.start([attempt])
                follower.begin(on: handle.loop)
                wishes.onEach { count in
                    handle.loop.post {
                        // As everywhere: the first asks, the second kills.
                        if count == 1 {
                            onLine(line(clock, "warning", "asked to stop; once more kills it"))
                            handle.room.cancel(run: id, reason: .operatorAsked)
                        } else {
                            handle.room.shutdown(grace: .zero) {}
                        }
                    }
                }
            }
        }
        parts.runLogs.close(run: id)
        parts.runLogs.shutdown()
        follower.drain()
        return end
    }

    private static func line(_ clock: SystemClock, _ level: String, _ text: String) -> API.LogLine {
        API.LogLine(t: clock.now().wall, run: nil, level: level, stream: "host", text: text, fields: .null)
    }
}

/// Ctrl-C, counted. Those from before somebody listens are kept.
private final class StopWishes: Sendable {
    private struct State {
        var count = 0
        var word: String?
        var told = 0
        var listener: (@Sendable (_ count: Int) -> Void)?
    }
    private let state = Mutex(State())

    /// What was pressed or sent first; nil: nothing.
    var word: String? { state.withLock { $0.word } }

    func ask(_ word: String) {
        state.withLock { state in
            state.count += 1
            state.word = state.word ?? word
        }
        tell()
    }

    func onEach(_ listener: @escaping @Sendable (_ count: Int) -> Void) {
        state.withLock { $0.listener = listener }
        tell()
    }

    private func tell() {
        state.withLock { state in
            guard let listener = state.listener else { return }
            while state.told < state.count {
                state.told += 1
                listener(state.told)
            }
        }
    }
}

/// Hands the lines of a run's log on as they come.
private final class LogFollower: Sendable {
    private let logs: RunLogs
    private let job: String
    private let run: RunID
    private let onLine: @Sendable (API.LogLine) -> Void
    /// Read position; touched by the loop while the run lasts, and by the caller afterwards.
    private struct State {
        var offset: Int64 = 0
        var rest: [UInt8] = []
        var done = false
    }
    private let state = Mutex(State())

    init(logs: RunLogs, job: String, run: RunID, onLine: @escaping @Sendable (API.LogLine) -> Void) {
        self.logs = logs
        self.job = job
        self.run = run
        self.onLine = onLine
    }

    func begin(on loop: EventLoop) {
        loop.timer(after: .milliseconds(50)) { [weak self] in
            guard let self, !state.withLock({ $0.done }) else { return }
            read()
            begin(on: loop)
        }
    }

    /// What is left, once the run has ended.
    func drain() {
        read()
        state.withLock { $0.done = true }
    }

    private func read() {
        state.withLock { state in
            while true {
                let page = logs.read(job: job, run: run, from: state.offset, limit: 64 << 10)
                guard !page.bytes.isEmpty else { return }
                state.offset = page.next
                state.rest += page.bytes
                while let end = state.rest.firstIndex(of: UInt8(ascii: "\n")) {
                    onLine(LogPages.line(state.rest[..<end], of: run))
                    state.rest.removeSubrange(...end)
                }
            }
        }
    }
}

extension ConfigTable {
    /// This table with one value set, at a path of keys that is made where it is missing.
    func setting(_ path: ArraySlice<String>, to value: JSON, at position: SourcePosition) -> ConfigTable {
        guard let key = path.first else { return self }
        var content = Self.content(of: value, at: position)
        if path.count > 1 {
            content = .table(ConfigTable().setting(path.dropFirst(), to: value, at: position))
        }
        let entry = Entry(keyPosition: position, value: ConfigValue(content, at: position))
        return overlaid(by: ConfigTable([key: entry], position: self.position))
    }

    private static func content(of json: JSON, at position: SourcePosition) -> ConfigValue.Content {
        switch json {
        case .null: .string("")
        case .bool(let value): .boolean(value)
        case .number(let literal): Int64(literal).map { .integer($0) } ?? .float(literal)
        case .string(let text): .string(text)
        case .array(let elements): .array(elements.map { ConfigValue(content(of: $0, at: position), at: position) })
        case .object(let members):
            .table(ConfigTable(members.mapValues {
                Entry(keyPosition: position, value: ConfigValue(content(of: $0, at: position), at: position))
            }))
        }
    }
}
