import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("The switch to another generation", .timeLimit(.minutes(5))) struct SwitchingTests {
    @Test("A host that is told to stop while a reload reads the jobs' cursors switches to nothing more")
    func stopped() async throws {
        let store = SlowStore()
        func tools(_ folder: String) -> BuildTools {
            var config = ShellStage.config(folder)
            let place = SourcePosition(file: "jobs.toml", line: 1, column: 1)
            config.plugins["bank"] = PluginConfig(name: "bank", library: "/lib/libBank.so", position: place)
            config.jobs["mint"] = JobConfig(name: "mint", plugin: "bank", entry: "run", position: place)
            let plugin = PluginDescriptor(id: "bank", version: "1", description: "", abi: 1, entries: [.run])
            return BuildTools(
                loadConfig: { [config] (_, _) async throws(ConfigErrors) in config },
                accept: { _ in LibraryCopy(sha256: "b", path: "/copies/b") },
                probe: { _, questions in .loaded(plugin, answers: questions.map { _ in nil }) },
                stamp: { _ in FileStamp(device: 1, inode: 1, size: 1, modified: 1, changed: 1) }, exposed: { _ in nil },
                zones: SystemZones(environment: [:]), clock: SystemClock())
        }
        try await ShellStage.use(store: store, tools: tools) { stage in
            let somebody = Actor(name: "somebody", via: "test")
            await stage.supervisor.act { supervisor in
                supervisor.phase = .running
                supervisor.perform(supervisor.reloads.startUpEnded(now: supervisor.clock.now().monotonic))
            }
            let reload = Task { await stage.supervisor.reload(by: somebody) }
            await stage.until { store.asked("jobStates") > 0 }
            await stage.supervisor.act { $0.stop(by: somebody) }
            #expect(await reload.value.errors == ["the host is stopping"])
            store.answer()
            await stage.turns()
            #expect(await stage.supervisor.act { $0.generation.number } == 1)
            #expect(await stage.supervisor.act { $0.dispatcher.jobs.isEmpty })
            #expect(await stage.supervisor.act { $0.lastReload == nil }, "nor is it said to have ended, which would call the host ready")
        }
    }

    @Test("What comes into the inbox is taken by the rules of the jobs that serve now")
    func inboxRules() async throws {
        try await ShellStage.use(store: SlowStore()) { stage in
            for (number, name) in ["mint", "burn"].enumerated() {
                await stage.supervisor.act { supervisor in
                    supervisor.apply(.of(name, number: Int64(number + 2)), rows: [:], states: [:])
                    for _ in 0..<2 {
                        supervisor.isInboxForClaim = true
                        #expect(supervisor.inboxTake(with: 1)?.jobs.keys.sorted() == [name])
                    }
                }
            }
        }
    }
}

extension EntryDescriptor {
    static var run: EntryDescriptor { run(stateVersion: 0) }

    static func run(stateVersion: UInt32) -> EntryDescriptor {
        EntryDescriptor(
            id: "run", description: "", idempotent: true, cancellable: true, defaultSchedule: "every 1h", settingsSchema: "",
            payloadSchema: "", stateVersion: stateVersion)
    }
}

extension Generation {
    /// One job, by hand only.
    static func of(_ job: String, number: Int64, stateVersion: UInt32 = 0, _ change: (inout JobConfig) -> Void = { _ in }) -> Generation {
        var config = JobConfig(name: job, plugin: "p", entry: "run", position: SourcePosition(file: "jobs.toml", line: 1, column: 1))
        change(&config)
        let resolved = ResolvedJob(
            config: config, entry: .run(stateVersion: stateVersion), pool: "p", libraryHash: "h", settings: Array("{}".utf8), maskedSettings: "{}", schedule: .none,
            zone: .utc, calendar: nil, calendarZone: .utc)
        return Generation(number: number, config: ShellStage.config("/nowhere"), plugins: [:], jobs: [job: resolved], pools: [])
    }
}
