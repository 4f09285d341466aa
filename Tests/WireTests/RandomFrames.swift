import JobCore

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough for tests.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bytes(_ most: Int = 60) -> Bytes {
        (0 ..< Int.random(in: 0 ... most, using: &self)).map { _ in UInt8.random(in: 0 ... 255, using: &self) }
    }
    mutating func text() -> String {
        let letters = ["a", "Z", "0", "-", " ", "\n", "é", "日", "🕰️", "\u{0}", "\u{FFFD}"]
        return (0 ..< Int.random(in: 0 ... 20, using: &self)).map { _ in letters.randomElement(using: &self) ?? "" }.joined()
    }
    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T {
        let edges: [T] = [0, 1, .max, .min]
        return Bool.random(using: &self) ? T(truncatingIfNeeded: next()) : edges.randomElement(using: &self) ?? 0
    }
    mutating func instant() -> Instant { Instant(microseconds: integer()) }
    mutating func optional<T>(_ make: (inout SeededGenerator) -> T) -> T? {
        Bool.random(using: &self) ? make(&self) : nil
    }
    mutating func flag() -> Bool { Bool.random(using: &self) }
}

extension HostFrame {
    static func random(_ r: inout SeededGenerator) -> HostFrame {
        switch Int.random(in: 0 ..< 8, using: &r) {
        case 0:
            .load(
                LoadRequest(
                    library: r.text(), plugin: r.text(), memoryLimit: r.integer(),
                    fileLimit: r.integer()))
        case 1: .validate(requestID: r.integer(), entry: r.text(), settings: r.bytes())
        case 2: .settings(SettingsFrame(instance: r.integer(), job: r.text(), entry: r.text(), settings: r.bytes()))
        case 3:
            .run(
                RunFrame(
                    run: RunID(r.integer()), instance: r.integer(), attempt: r.integer(),
                    trigger: Trigger.allCases.randomElement(using: &r) ?? .manual, fireTime: r.instant(),
                    timeout: .microseconds(r.integer(Int64.self)), fence: r.integer(), idempotencyKey: r.text(),
                    payload: r.bytes(2_000), stateVersion: r.integer(), state: r.bytes(2_000),
                    notBefore: r.optional { Now(wall: $0.instant(), monotonic: MonotonicInstant(microseconds: $0.integer())) }))
        case 4: r.flag() ? .cancel(run: RunID(r.integer())) : .recall(run: RunID(r.integer()))
        case 5:
            .diagnose(
                DiagnoseFrame(
                    job: r.text(), entry: r.text(), settings: r.bytes(), timeout: .microseconds(r.integer(Int64.self)),
                    schemaRequest: r.bytes()))
        case 6: .lease(until: MonotonicInstant(microseconds: r.integer()))
        default: .shutdown
        }
    }
}

extension WorkerFrame {
    static func random(_ r: inout SeededGenerator) -> WorkerFrame {
        let run = RunID(r.integer())
        switch Int.random(in: 0 ..< 12, using: &r) {
        case 0: return .ready(.random(&r))
        case 1:
            let code = RefusalCode(rawValue: UInt8.random(in: 1 ... 5, using: &r)) ?? .limits
            return .refused(code: code, message: r.text())
        case 2: return .validated(requestID: r.integer(), error: r.optional { $0.text() })
        case 3: return .started(run: run)
        case 4:
            return .log(run: run, level: LogLevel.allCases.randomElement(using: &r) ?? .info, text: r.text(), fields: r.bytes())
        case 5: return .progress(run: run, done: r.integer(), total: r.integer(), text: r.text())
        case 6:
            let kinds: [MetricSample.Kind] = [.counter, .gauge, .histogram]
            return .metric(
                run: run,
                MetricSample(
                    kind: kinds.randomElement(using: &r) ?? .gauge, name: r.text(), labels: [r.text(): r.text(), "b": r.text()],
                    value: Double.random(in: -1e300 ... 1e300, using: &r)))
        case 7:
            return .enqueue(
                run: run, EnqueueRequest(job: r.text(), payload: r.bytes(2_000), key: r.text(), at: r.optional { $0.instant() }))
        case 8: return .result(.random(run, &r))
        case 9:
            let levels: [PluginFinding.Level] = [.ok, .warning, .error]
            return .finding(PluginFinding(levels.randomElement(using: &r) ?? .ok, r.text(), r.text()))
        case 10:
            let ends: [DiagnosisEnd] = [.complete(dropped: r.integer()), .absent, .failed(r.text())]
            return .diagnosed(ends.randomElement(using: &r) ?? .absent)
        default: return .returned(run: run)
        }
    }
}

extension RunResult {
    static func random(_ run: RunID, _ r: inout SeededGenerator) -> RunResult {
        RunResult(
            run: run, code: ResultCode(rawValue: UInt8.random(in: 0 ... 6, using: &r)) ?? .failed, failCode: r.integer(),
            text: r.text(), snoozeUntil: r.optional { $0.instant() }, retryNotBefore: r.optional { $0.instant() },
            items: r.integer(), stateOnSuccess: r.optional { StateBlob(version: $0.integer(), bytes: $0.bytes(2_000)) },
            stateAlways: r.optional { StateBlob(version: $0.integer(), bytes: $0.bytes(2_000)) },
            cpu: .microseconds(r.integer(Int64.self)), startedAt: r.instant(),
            took: .microseconds(r.integer(Int64.self)), written: WrittenOutput(stdout: r.integer(), stderr: r.integer()))
    }
}

extension PluginDescriptor {
    static func random(_ r: inout SeededGenerator) -> PluginDescriptor {
        PluginDescriptor(
            id: r.text(), version: r.text(), description: r.text(), abi: r.integer(),
            entries: (0 ..< Int.random(in: 0 ... 5, using: &r)).map { _ in
                EntryDescriptor(
                    id: r.text(), description: r.text(), idempotent: r.flag(), cancellable: r.flag(),
                    defaultSchedule: r.text(), settingsSchema: r.text(), payloadSchema: r.text(), stateVersion: r.integer())
            })
    }
}
