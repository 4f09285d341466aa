import Glibc
import JobConfig
import JobCore
import JobJSON
import JobStore
import JobTestKit
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import JobHost

/// A host that answers from samples and remembers what it was told.
final class FakeHost: HostControl {
    let fakeStore: FakeStore
    var store: any Store { fakeStore }
    let runLogs: RunLogs
    let events = EventOutlet()
    private struct State {
        var snapshot: HostSnapshot
        var commands: [(command: HostCommand, actor: Actor)] = []
        var error: CommandError?
        var isClosed = false
        var onSnapshot: @Sendable () async -> Void = {}
    }
    private let state: Mutex<State>

    init(snapshot: HostSnapshot = Samples.snapshot(), store: FakeStore = Samples.store, folder: String) throws {
        state = Mutex(State(snapshot: snapshot))
        fakeStore = store
        runLogs = try RunLogs(stateDir: folder)
    }

    /// Writes what the logs still hold.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if isFirst { runLogs.shutdown() }
    }

    func snapshot() async -> HostSnapshot {
        let (snapshot, then) = state.withLock { ($0.snapshot, $0.onSnapshot) }
        await then()
        return snapshot
    }
    /// What happens while one is on its way.
    func onSnapshot(_ then: @escaping @Sendable () async -> Void) { state.withLock { $0.onSnapshot = then } }
    func edit(_ change: (inout HostSnapshot) -> Void) { state.withLock { change(&$0.snapshot) } }
    func fail(with error: CommandError?) { state.withLock { $0.error = error } }
    var commands: [(command: HostCommand, actor: Actor)] { state.withLock { $0.commands } }

    func waiting(for run: RunRecord) async -> WaitingFor? {
        state.withLock { state in WaitingFor.of(run, job: state.snapshot.jobs.first { $0.name == run.job }, host: state.snapshot) }
    }

    func perform(_ command: HostCommand, by actor: Actor) async throws -> CommandResult {
        try state.withLock { state in
            state.commands.append((command, actor))
            if let error = state.error { throw error }
            switch command {
            case .reload, .plan, .rollBack: return .report(Samples.report)
            case .answer(_, let answer):
                let run = answer == .approve ? Samples.record(45, state: .available, outcome: nil) : nil
                return .answered(try Samples.ask.answered(answer, by: "bob", at: sampleNow), run: run)
            case .trigger, .retry: return .run(Samples.record(43, state: .available, outcome: nil), inserted: true)
            case .enqueue(let request): return .run(Samples.record(44, job: request.job, state: .available, outcome: nil), inserted: request.key != "taken")
            case .backfill: return .backfill(fires: [sampleNow - .seconds(120), sampleNow - .seconds(60)], total: 14)
            case .explain(let job, let at):
                return .explanation(
                    Explanation(job: job, at: at, verdict: "skipped", sentences: ["The breaker was open.", "It had opened after 5 failures."]))
            case .next(_, let from, let count): return .fires((1...Int64(count)).map { minute in
                ComingFire(at: (from ?? sampleNow) + .seconds(60 * minute), closed: minute == 2 ? "2025-06-01 (Sunday) has no session" : nil)
            })
            default: return .done
            }
        }
    }
}

/// A folder of its own, gone afterwards.
struct TestFolder: ~Copyable {
    let path: String
    init() throws {
        var template = Array("/tmp/jhv.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HostFailure(message: "mkdtemp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                if name != ".", name != ".." { remove(path + "/" + name) }
            }
            closedir(folder)
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

struct HostFailure: Error { var message: String }

extension HTTPLimits {
    /// For what is not about slow clients: on a busy machine every one is.
    static var patient: HTTPLimits {
        var limits = HTTPLimits()
        (limits.idle, limits.body, limits.stall) = (.hours(1), .hours(1), .hours(1))
        return limits
    }
}

/// The real server over a fake host, for the length of `body`. Its clock stands still but for what the test does, so that
/// what may be done so often in a while does not depend on how fast the machine is.
func withServer<T>(
    _ configure: (FakeHost) -> Void = { _ in }, limits: HTTPLimits = .patient, snapshotReuse: Int = 0,
    clock: any TimeSource = ManualClock(wall: sampleNow),
    _ body: (_ host: FakeHost, _ socket: String, _ server: APIServer) async throws -> T
) async throws -> T {
    let folder = try TestFolder()
    let host = try FakeHost(folder: folder.path)
    configure(host)
    // Tests change the host behind the server's back.
    var limits = limits
    limits.snapshotReuse = snapshotReuse
    let server = APIServer(
        control: host, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: clock, limits: limits, errand: { command, _ in command == ["true"] ? nil : "it does not exist" })
    let socket = folder.path + "/jobhost.sock"
    do {
        try await server.listen(socketPath: socket)
        let result = try await body(host, socket, server)
        await server.stop()
        host.close()
        return result
    } catch {
        await server.stop()
        host.close()
        throw error
    }
}

/// Until it holds; two minutes at the most.
func eventually(_ isTrue: () async -> Bool) async throws {
    for _ in 0..<24_000 {
        if await isTrue() { return }
        try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .milliseconds(5)) {}.futureResult.get()
    }
    try #require(await isTrue())
}

extension APIClient {
    /// Beyond the longest that a busy machine lets an answer stand still.
    static let longTimeout = Duration.seconds(600)
    static func patient(_ socket: String) -> APIClient { APIClient(socketPath: socket, config: nil, timeout: longTimeout) }
}

/// One request; the answer's status and JSON.
func ask(_ socket: String, _ method: String, _ path: String, _ body: String = "") async throws -> (status: Int, json: JSON) {
    let client = APIClient.patient(socket)
    let answer = try await client.exchange(.init(rawValue: method), path, body: Array(body.utf8))
    return (answer.status, try JSON(parsing: answer.body, limits: .init(bytes: 64 << 20)))
}

final class TextCapture: TextSink {
    private let text = Mutex("")
    private let shape: Mutex<(columns: Int, rows: Int)?>
    var size: (columns: Int, rows: Int)? { shape.withLock { $0 } }
    var isTerminal: Bool { size != nil }
    init(columns: Int? = nil, rows: Int = 24) { shape = Mutex(columns.map { ($0, rows) }) }
    func resize(columns: Int, rows: Int) { shape.withLock { $0 = (columns, rows) } }
    func write(_ more: String) { text.withLock { $0 += more } }
    func write(bytes: [UInt8]) { write(String(decoding: bytes, as: UTF8.self)) }
    var written: String { text.withLock { $0 } }
}

/// Presses its keys one after the other; nil: none within the time.
final class ScriptedKeyboard: Keyboard {
    private let keys: Mutex<[UInt8?]>
    private let calls = Mutex<[String]>([])
    private let onKey: @Sendable (_ left: Int) -> Void
    init(_ keys: [UInt8?], onKey: @escaping @Sendable (_ left: Int) -> Void = { _ in }) {
        self.keys = Mutex(keys)
        self.onKey = onKey
    }
    /// "begin" and "end", as they were called.
    var called: [String] { calls.withLock { $0 } }
    func begin() { calls.withLock { $0.append("begin") } }
    func end() { calls.withLock { $0.append("end") } }
    func key(within limit: Duration) async -> UInt8? {
        let (key, left) = keys.withLock { ($0.isEmpty ? UInt8(ascii: "q") : $0.removeFirst(), $0.count) }
        onKey(left)
        return key
    }
}

/// Stands still but for sleeps, which pass at once; after `naps` of them it is cancelled.
final class ManualCLIClock: CLIClock {
    private let state: Mutex<(now: Instant, naps: Int)>
    private let onNap: @Sendable (Int) -> Void
    init(now: Instant = sampleNow, naps: Int = 1_000, onNap: @escaping @Sendable (Int) -> Void = { _ in }) {
        state = Mutex((now, naps))
        self.onNap = onNap
    }
    var now: Instant { state.withLock { $0.now } }
    func sleep(_ duration: Duration) async throws {
        let left = state.withLock { state in
            state.now = state.now + duration
            state.naps -= 1
            return state.naps
        }
        guard left > 0 else { throw CancellationError() }
        onNap(left)
        await Task.yield()
    }
}

extension HostOperations {
    /// Answers from samples.
    static func fake(
        run: Int32 = 0, report: ReloadReport = Samples.report,
        execution: API.Execution = API.Execution(job: "candles", outcome: .succeeded, reason: "", code: 0, items: 3, durationUs: 1_234_567),
        findings: [Doctor.Finding] = [Doctor.Finding("disk", .ok, "9000 MB are free")],
        seen: @escaping @Sendable (ExecutionRequest) -> Void = { _ in },
        examined: @escaping @Sendable (DoctorRequest) -> Void = { _ in },
        schema: @escaping @Sendable (SchemaInquiry) -> [API.SchemaAnswer] = { _ in [] }, store: StoreOperations = .fake()
    ) -> HostOperations {
        HostOperations(
            run: { _ in run }, check: { _ in report },
            execute: { request, onLine in
                seen(request)
                onLine(API.LogLine(t: sampleNow, run: 41, level: "info", stream: "log", text: "hello", fields: .object(["n": .number("1.10")])))
                return execution
            },
            doctor: { request in
                examined(request)
                return findings
            },
            schema: { schema($0) },
            store: store,
            inspect: { file in
                API.Inspection(
                    file: file, sha256: "ab12",
                    descriptor: PluginDescriptor(
                        id: "market", version: "2.1", description: "Market data.", abi: 1,
                        entries: [
                            EntryDescriptor(
                                id: "roll", description: "Rolls trades up.", idempotent: true, cancellable: true,
                                defaultSchedule: "every 1m",
                                settingsSchema: #"""
                                    {"type":"object","required":["batch"],"properties":{
                                    "batch":{"type":"integer","minimum":1,"maximum":500},"rate":{"type":["string","number"],"format":"decimal","exclusiveMinimum":0},
                                    "mode":{"enum":["off","live"],"default":"off","description":"Whether it acts."},"pair":{"type":"string","default":"XRP/ETH"}}}
                                    """#,
                                payloadSchema: "", stateVersion: 1)
                        ]))
            },
            zones: SystemZones(environment: [:]), version: "1.0.0")
    }
}

extension StoreOperations {
    /// `export` writes `chunks`, one after the other.
    static func fake(
        findings: [StoreCheck.Finding] = [], pruned: StorePrune.Report = StorePrune.Report(), chunks: [String] = [],
        asked: @escaping @Sendable (StorePruneRequest) -> Void = { _ in },
        exported: @escaping @Sendable (StoreSource, StoreExport.Request) -> Void = { _, _ in }
    ) -> StoreOperations {
        StoreOperations(
            move: { API.StoreMoved(place: $0.to ?? "the config's", tables: [API.StoreTable(table: "runs", rows: 5)]) },
            check: { _ in
                API.StoreChecked(place: "var/jobhost.db", hostPid: 4_711, StoreCheck.Report(format: StoreFormat(version: 5, known: 5), findings: findings))
            },
            prune: { request, goOn in
                asked(request)
                var report = pruned
                report.isUnfinished = !goOn()
                return API.StorePruned(place: "var/jobhost.db", dryRun: request.isDryRun, report)
            },
            export: { source, request, write in
                exported(source, request)
                for chunk in chunks { try write(Array(chunk.utf8)) }
                return request.tables.map { API.StoreTable(table: $0.rawValue, rows: 2) }
            })
    }
}

/// What one command line printed and how it exited.
struct Spoken {
    var code: Int32
    var out: String
    var errors: String
}

func speak(
    _ arguments: [String], columns: Int? = nil, variables: [String: String] = [:], files: Set<String> = [], denied: Set<String> = [],
    clock: any CLIClock = ManualCLIClock(), operations: HostOperations = .fake(), keyboard: (any Keyboard)? = nil,
    screen: TextCapture? = nil, interruption: (@Sendable () async -> Void)? = nil
) async -> Spoken {
    let output = screen ?? TextCapture(columns: columns)
    let errors = TextCapture(columns: columns)
    let (never, held) = AsyncStream.makeStream(of: Void.self)
    defer { held.finish() }
    let environment = CLIEnvironment(
        operations: operations, variables: variables, clock: clock, output: output, errors: errors,
        keyboard: keyboard, fileExists: { files.contains($0) }, isDenied: { denied.contains($0) },
        interruption: interruption ?? { for await _ in never {} }, patience: APIClient.longTimeout)
    let code = await JobHostCommand.run(arguments, in: environment)
    return Spoken(code: code, out: output.written, errors: errors.written)
}
