import Glibc
import JobConfig
import JobCore
import JobStore
import Synchronization
import Testing

@testable import JobHost

@Suite("A plan beside the removal of library copies") struct PlanAndPruneTests {
    private static let hash = String(repeating: "b", count: 64)

    /// A build that copies one library, and probes it when the test says so.
    private final class Library: Sendable {
        let copied = Mutex(0)
        let probing = Gate()

        func tools(in folder: String) -> BuildTools {
            var config = ShellStage.config(folder)
            let place = SourcePosition(file: "jobs.toml", line: 1, column: 1)
            config.plugins["bank"] = PluginConfig(name: "bank", library: "/lib/libBank.so", position: place)
            return BuildTools(
                loadConfig: { [config] (_, _) async throws(ConfigErrors) in config },
                accept: { _ in
                    self.copied.withLock { $0 += 1 }
                    mkdir("\(folder)/plugins", 0o755)
                    mkdir(Self.home(in: folder), 0o755)
                    return LibraryCopy(sha256: PlanAndPruneTests.hash, path: Self.home(in: folder) + "/libBank.so")
                },
                probe: { _, _ in
                    await self.probing.pass()
                    return .refused("not today")
                },
                stamp: { _ in FileStamp(device: 1, inode: 1, size: 1, modified: 1, changed: 1) }, exposed: { _ in nil },
                zones: SystemZones(environment: [:]), clock: SystemClock())
        }

        static func home(in folder: String) -> String { "\(folder)/plugins/\(PlanAndPruneTests.hash)" }
    }

    private func isThere(_ stage: ShellStage) -> Bool { access(Library.home(in: stage.folder), F_OK) == 0 }

    private func prune(_ stage: ShellStage) async {
        let serving = await stage.supervisor.act { $0.generation }
        await stage.supervisor.pruneLibraries(before: serving)
    }

    @Test("The copy that a plan looks at stays until it has; then it goes, for nothing serves with it")
    func copyOfAPlanStays() async throws {
        let library = Library()
        try await ShellStage.use(store: .answering, tools: library.tools) { stage in
            let ended = Gate()
            let plans = (0..<2).map { _ in
                Task {
                    _ = await stage.supervisor.plan()
                    await ended.pass()
                }
            }
            await library.probing.whenReached(2)
            await prune(stage)
            #expect(isThere(stage))
            library.probing.letOnePass()
            await ended.whenReached(1)
            await prune(stage)
            #expect(isThere(stage), "the other one looks at it still")
            library.probing.letOnePass()
            await ended.whenReached(2)
            await prune(stage)
            #expect(!isThere(stage))
            // Whichever ended first.
            for _ in plans { ended.letOnePass() }
            for plan in plans { await plan.value }
        }
    }

    @Test("A plan that comes while copies are being removed makes its own when that is done")
    func planWaitsForThePrune() async throws {
        let (library, removal) = (Library(), Gate())
        try await ShellStage.use(store: .answering, tools: library.tools) { stage in
            await stage.supervisor.act { $0.pruning = Task { await removal.pass() } }
            await removal.whenReached(1)
            let plan = Task { await stage.supervisor.plan() }
            await stage.turns()
            #expect(library.copied.withLock { $0 } == 0)
            removal.letOnePass()
            library.probing.letOnePass()
            _ = await plan.value
            #expect(library.copied.withLock { $0 } == 1)
        }
    }
}

extension Store where Self == SlowStore {
    fileprivate static var answering: SlowStore {
        let store = SlowStore()
        store.answer()
        return store
    }
}

/// Holds up whoever comes until the test lets one pass.
private final class Gate: Sendable {
    private struct State {
        var reached = 0
        var permits = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())

    func pass() async {
        await withCheckedContinuation { continuation in
            let resumed = state.withLock { state in
                state.reached += 1
                let (done, rest) = (state.watchers.filter { $0.count <= state.reached }, state.watchers.filter { $0.count > state.reached })
                state.watchers = rest
                var resumed = done.map(\.continuation)
                if state.permits > 0 {
                    state.permits -= 1
                    resumed.append(continuation)
                } else {
                    state.waiting.append(continuation)
                }
                return resumed
            }
            for continuation in resumed { continuation.resume() }
        }
    }

    /// Returns when so many have come.
    func whenReached(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.reached < count { state.watchers.append((count, continuation)) }
                return state.reached >= count
            }
            if isReached { continuation.resume() }
        }
    }

    func letOnePass() {
        let next = state.withLock { state in
            if state.waiting.isEmpty { state.permits += 1 }
            return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
        }
        next?.resume()
    }
}
