import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("Building a generation")
struct GenerationBuilderTests {
    let world = ScriptedTools()
    let builder: GenerationBuilder

    init() {
        builder = GenerationBuilder(tools: world.tools)
        world.write("/lib/libBank.so", "aaaaaaaa")
        world.write("/lib/libMint.so", "mmmmmmmm")
        world.change { world in
            world.libraries["aaaaaaaa"] = library("1.0")
            world.libraries["bbbbbbbb"] = library("1.1")
            world.libraries["mmmmmmmm"] = library("3.0")
        }
    }

    private func build(_ config: HostConfig, previous: Generation? = nil, accepted: [AcceptedLibrary] = [],
                       environment: [String: String] = [:]) async -> BuildOutcome {
        world.set(config)
        return await builder.build(file: "jobs.toml", environment: environment, previous: previous, accepted: accepted)
    }

    private let two = ["bank": "/lib/libBank.so", "mint": "/lib/libMint.so"]

    // MARK: Start

    @Test("at the first start every job is added")
    func firstStart() async throws {
        let outcome = await build(config(plugins: two, job("credit"), job("coins", plugin: "mint", entry: "debit")))
        let generation = try #require(outcome.generation)
        #expect(generation.number == 1)
        #expect(generation.jobs.keys.sorted() == ["coins", "credit"])
        #expect(generation.jobs["coins"]?.libraryHash == "mmmmmmmm")
        #expect(generation.jobs["credit"]?.schedule == .every(.seconds(10), phase: .zero), "the entry's default")
        #expect(outcome.report.isClean && outcome.report.errors.isEmpty && outcome.report.generation == 1)
        #expect(outcome.report.job("credit") == "added: every 10s")
        #expect(outcome.report.plugin("mint") == "added: org.example.test 3.0, library mmmmmmm")
        #expect(world.takeProbed() == ["aaaaaaaa", "mmmmmmmm"])
        #expect(generation.acceptedLibraries(at: .epoch).map(\.sha256) == ["aaaaaaaa", "mmmmmmmm"])
    }

    @Test("a file that cannot be read or is wrong refuses the whole, with every error")
    func wholeRefusal() async {
        let errors = [
            ConfigError(position: place(3), message: "unknown key 'timeuot'", hint: "did you mean 'timeout'?"),
            ConfigError(position: nil, message: "two"),
        ]
        world.change { $0.config = .failure(ConfigErrors(errors)) }
        let outcome = await builder.build(file: "jobs.toml", environment: [:], previous: nil, accepted: [])
        #expect(outcome.generation == nil)
        #expect(outcome.report.errors == ["jobs.toml:3:1: unknown key 'timeuot' (did you mean 'timeout'?)", "two"])
        #expect(!outcome.report.accepted && !outcome.report.isClean)
        #expect(world.takeProbed() == [])
    }

    @Test("at start the last accepted copy serves for a library that does not load, with a warning")
    func acceptedServes() async throws {
        world.write("/lib/libBank.so", "broken")
        let accepted = AcceptedLibrary(plugin: "bank", sha256: "aaaaaaaa", path: "/copies/aaaaaaaa", acceptedAt: Instant(seconds: 0))
        let outcome = await build(config(job("credit")), accepted: [accepted])
        let generation = try #require(outcome.generation)
        #expect(generation.jobs["credit"]?.libraryHash == "aaaaaaaa")
        let problem = "the copy accepted on 1970-01-01T00:00:00Z serves instead: "
            + "/lib/libBank.so: killed by signal 11 (SIGSEGV) while loading"
        #expect(generation.plugins["bank"]?.problem == problem)
        #expect(outcome.report.warnings == ["plugin 'bank': \(problem)"])
        #expect(outcome.report.plugin("bank") == "refused: \(problem)")
        #expect(!outcome.report.isClean)
        #expect(generation.acceptedLibraries(at: .epoch) == [], "what serves in place of a refused file is not accepted anew")
    }

    @Test("at start the last accepted copy serves for a library that refuses settings")
    func acceptedServesForSettings() async throws {
        world.write("/lib/libBank.so", "bbbbbbbb")
        world.change { $0.dislikes["bbbbbbbb"] = [#"{"batch":7}"#: "batch must be even"] }
        let accepted = AcceptedLibrary(plugin: "bank", sha256: "aaaaaaaa", path: "/copies/aaaaaaaa", acceptedAt: .epoch)
        let outcome = await build(config(job("credit", settings: ["batch": 7])), accepted: [accepted])
        #expect(outcome.generation?.jobs["credit"]?.libraryHash == "aaaaaaaa")
    }

    @Test("at start with nothing accepted, the jobs of a broken library are refused and the rest goes on")
    func nothingAccepted() async throws {
        world.write("/lib/libBank.so", "broken")
        let outcome = await build(config(plugins: two, job("credit"), job("coins", plugin: "mint")))
        let generation = try #require(outcome.generation)
        #expect(generation.jobs.keys.sorted() == ["coins"])
        #expect(generation.plugins.keys.sorted() == ["mint"])
        #expect(generation.config.jobs.keys.sorted() == ["coins"], "the config in force")
        #expect(outcome.report.job("credit")
            == "refused: plugin 'bank' was refused: /lib/libBank.so: killed by signal 11 (SIGSEGV) while loading")
        #expect(outcome.report.job("coins").hasPrefix("added"))
    }

    @Test("at start a library that loads serves the jobs that are in order")
    func partialStart() async throws {
        let outcome = await build(config(job("good"), job("bad", entry: "credti", line: 20)))
        #expect(outcome.generation?.jobs.keys.sorted() == ["good"])
        #expect(outcome.report.job("bad")
            == "refused: jobs.toml:20:1: job 'bad': plugin 'bank' has no entry 'credti' (did you mean 'credit'?)")
        #expect(!outcome.report.isClean)
    }

    @Test("a file that is no sound library is refused with the reason, and not copied again until it changes")
    func notAccepted() async {
        world.change { $0.unacceptable["aaaaaaaa"] = LibraryRefusal("/lib/libBank.so is cut short") }
        let outcome = await build(config(job("credit")))
        #expect(outcome.report.plugin("bank") == "refused: /lib/libBank.so is cut short")
        _ = await build(config(job("credit")))
        #expect(world.world.withLock { $0.accepted } == ["/lib/libBank.so"])
        #expect(world.takeProbed() == [])
    }

    @Test("a full disk is not the library's fault: copied again")
    func diskFull() async {
        world.change { $0.unacceptable["aaaaaaaa"] = LibraryRefusal("cannot write the copy: no space", isHostFault: true) }
        #expect(await build(config(job("credit"))).report.plugin("bank") == "refused: cannot write the copy: no space")
        world.change { $0.unacceptable = [:] }
        #expect(await build(config(job("credit"))).report.isClean)
    }

    // MARK: Reload

    @Test("an unchanged config keeps everything and probes nothing")
    func unchanged() async throws {
        let first = try #require(await build(config(plugins: two, job("credit"), job("coins", plugin: "mint"))).generation)
        _ = world.takeProbed()
        let outcome = await build(config(plugins: two, job("credit", line: 99), job("coins", plugin: "mint")), previous: first)
        #expect(outcome.report.job("credit") == "kept: ", "moved in the file, but the same")
        #expect(outcome.report.plugin("bank") == "kept: ")
        #expect(outcome.report.isClean)
        #expect(world.takeProbed() == [])
        #expect(outcome.generation?.number == 2)
        #expect(outcome.generation?.pools == first.pools, "equal pools keep their workers")
    }

    @Test("every job is named as added, removed, changed or kept")
    func changes() async throws {
        let first = try #require(await build(config(job("kept"), job("gone"), job("edited"))).generation)
        let outcome = await build(
            config(job("kept"), job("edited") { $0.timeout = .seconds(9); $0.schedule = ScheduleSpec.none }, job("fresh", entry: "debit")),
            previous: first)
        #expect(outcome.report.jobs.map { "\($0.job) \($0.change)" } == ["edited changed", "fresh added", "gone removed", "kept kept"])
        #expect(outcome.report.job("edited") == "changed: schedule, timeout")
        #expect(outcome.report.isClean)
    }

    @Test("jobs that [host] only leaves out are told as removed, and as added when they are back")
    func onlySome() async throws {
        let jobs = [job("red") { $0.labels = ["night"] }, job("blue")]
        var some = config(jobs[0], jobs[1])
        some.host.only = ["night"]
        let first = try #require(await build(config(jobs[0], jobs[1])).generation)
        let fewer = await build(some, previous: first)
        #expect(fewer.report.job("red") == "kept: ")
        #expect(fewer.report.job("blue") == "removed: not among host.only: it does not run here")
        #expect(fewer.report.jobs.map(\.serves) == [false, true])
        let still = await build(some, previous: fewer.generation)
        #expect(still.report.job("blue") == "kept: not among host.only: it does not run here")
        let back = await build(config(jobs[0], jobs[1]), previous: still.generation)
        #expect(back.report.job("blue") == "added: every 10s")
        #expect(back.report.jobs.map(\.serves) == [true, true])
    }

    @Test("a changed library changes its jobs and is probed; other plugins are not")
    func changedLibrary() async throws {
        let first = try #require(await build(config(plugins: two, job("credit"), job("coins", plugin: "mint"))).generation)
        _ = world.takeProbed()
        world.write("/lib/libBank.so", "bbbbbbbb")
        let outcome = await build(config(plugins: two, job("credit"), job("coins", plugin: "mint")), previous: first)
        #expect(world.takeProbed() == ["bbbbbbbb"])
        #expect(outcome.report.job("credit") == "changed: library aaaaaaa → bbbbbbb")
        #expect(outcome.report.plugin("bank") == "changed: library aaaaaaa → bbbbbbb (version 1.0 → 1.1)")
        #expect(outcome.report.job("coins") == "kept: ")
        #expect(outcome.generation?.pools.first { $0.key == "bank" }?.library.sha256 == "bbbbbbbb")
    }

    @Test("changed settings are asked of the library again; the same settings are not")
    func changedSettings() async throws {
        let first = try #require(await build(config(job("credit", settings: ["batch": 1]))).generation)
        _ = world.takeProbed()
        let outcome = await build(config(job("credit", settings: ["batch": 2])), previous: first)
        #expect(world.takeProbed() == ["aaaaaaaa"])
        #expect(outcome.report.job("credit") == "changed: settings")
        #expect(outcome.generation?.jobs["credit"]?.settings == Array(#"{"batch":2}"#.utf8))
    }

    @Test("a library that does not load keeps its old library and its old jobs; the others switch")
    func refusedLibrary() async throws {
        let first = try #require(await build(config(plugins: two, job("credit"), job("coins", plugin: "mint"))).generation)
        world.write("/lib/libBank.so", "broken")
        let outcome = await build(
            config(plugins: two, job("credit") { $0.timeout = .seconds(1) }, job("extra"),
                   job("coins", plugin: "mint") { $0.priority = 5 }),
            previous: first)
        let generation = try #require(outcome.generation)
        #expect(generation.plugins["bank"]?.copy.sha256 == "aaaaaaaa")
        #expect(generation.jobs["credit"]?.config.timeout == .seconds(30), "the old job")
        #expect(generation.jobs["extra"] == nil)
        #expect(generation.jobs["coins"]?.config.priority == 5)
        #expect(generation.config.jobs["credit"]?.timeout == .seconds(30), "the config in force")
        let reason = "/lib/libBank.so: killed by signal 11 (SIGSEGV) while loading"
        #expect(outcome.report.plugin("bank") == "refused: \(reason); library aaaaaaa goes on with its job as before: credit")
        #expect(outcome.report.job("credit") == "refused: plugin 'bank' was refused: \(reason); it goes on as it was (timeout)")
        #expect(outcome.report.job("extra") == "refused: plugin 'bank' was refused: \(reason)")
        #expect(outcome.report.job("coins") == "changed: priority")
    }

    @Test("settings that the library refuses keep its old library and its old jobs, even those in order")
    func refusedSettings() async throws {
        let first = try #require(await build(config(job("credit", settings: ["batch": 1]), job("debit", entry: "debit"))).generation)
        world.write("/lib/libBank.so", "bbbbbbbb")
        world.change { $0.dislikes["bbbbbbbb"] = [#"{"batch":7}"#: "batch must be even"] }
        let outcome = await build(
            config(job("credit", line: 30, settings: ["batch": 7]), job("debit", entry: "debit")), previous: first)
        let said = "jobs.toml:31:1: settings of job 'credit': plugin 'bank' refuses them: batch must be even"
        #expect(outcome.generation?.jobs["credit"]?.settings == Array(#"{"batch":1}"#.utf8))
        #expect(outcome.generation?.jobs["debit"]?.libraryHash == "aaaaaaaa")
        #expect(outcome.report.plugin("bank") == "refused: \(said); library aaaaaaa goes on with all its 2 jobs as before: credit, debit")
        #expect(outcome.report.job("credit") == "refused: \(said); it goes on as it was (settings)")
        #expect(outcome.report.job("debit") == "kept: with library aaaaaaa")
    }

    @Test("a job removed from a refused plugin stays until the plugin is in order")
    func removalWaits() async throws {
        let first = try #require(await build(config(job("credit"), job("gone"))).generation)
        world.write("/lib/libBank.so", "broken")
        let outcome = await build(config(job("credit")), previous: first)
        #expect(outcome.generation?.jobs["gone"] != nil)
        #expect(outcome.report.job("gone") == "kept: its removal waits: plugin 'bank' was refused")
    }

    @Test("a new plugin that does not load is refused; the rest goes on")
    func refusedNewPlugin() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libMint.so", "broken")
        let outcome = await build(config(plugins: two, job("credit"), job("coins", plugin: "mint")), previous: first)
        #expect(outcome.generation?.jobs.keys.sorted() == ["credit"])
        #expect(outcome.report.job("credit") == "kept: ")
        #expect(outcome.report.job("coins").hasPrefix("refused: plugin 'mint' was refused"))
    }

    @Test("a reload never falls back to a copy from an earlier life")
    func acceptedIsForStart() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libMint.so", "broken")
        let accepted = AcceptedLibrary(plugin: "mint", sha256: "mmmmmmmm", path: "/copies/mmmmmmmm", acceptedAt: .epoch)
        let outcome = await build(
            config(plugins: two, job("credit"), job("coins", plugin: "mint")), previous: first, accepted: [accepted])
        #expect(outcome.generation?.jobs["coins"] == nil)
    }

    @Test("a removed plugin goes with its jobs")
    func removedPlugin() async throws {
        let first = try #require(await build(config(plugins: two, job("credit"), job("coins", plugin: "mint"))).generation)
        let outcome = await build(config(job("credit")), previous: first)
        #expect(outcome.report.plugin("mint") == "removed: ")
        #expect(outcome.report.job("coins") == "removed: ")
        #expect(outcome.generation?.pools.map(\.key) == ["bank"])
    }

    @Test("a job that moves to a refused plugin stays where it is")
    func moveToRefused() async throws {
        let first = try #require(await build(config(plugins: two, job("wander"), job("coins", plugin: "mint"))).generation)
        world.write("/lib/libMint.so", "broken")
        let outcome = await build(
            config(plugins: two, job("wander", plugin: "mint"), job("coins", plugin: "mint")), previous: first)
        #expect(outcome.generation?.jobs["wander"]?.config.plugin == "bank")
        #expect(outcome.report.plugin("bank")
            == "refused: its job 'wander' moves to plugin 'mint', which was refused; library aaaaaaa goes on with its job as before: wander")
    }

    @Test("a job that moves away from a refused plugin is served by the new one, once")
    func moveFromRefused() async throws {
        let first = try #require(await build(config(plugins: two, job("wander"), job("coins", plugin: "mint"))).generation)
        world.write("/lib/libBank.so", "broken")
        let outcome = await build(
            config(plugins: two, job("wander", plugin: "mint"), job("coins", plugin: "mint")), previous: first)
        #expect(outcome.generation?.jobs["wander"]?.config.plugin == "mint")
        #expect(outcome.report.job("wander") == "changed: plugin; library aaaaaaa → mmmmmmm")
    }

    @Test("changed state_dir or store: refused, needs a restart", arguments: [
        ("/other", "sqlite:/state/db", ["host.state_dir changed from /state to /other, which needs a restart"]),
        ("/state", "sqlite:/x", ["store.url changed, which needs a restart"]),
    ])
    func needsRestart(stateDir: String, store: String, errors: [String]) async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        _ = world.takeProbed()
        let outcome = await build(config(job("new"), stateDir: stateDir, store: store), previous: first)
        #expect(outcome.generation == nil)
        #expect(outcome.report.errors == errors)
        #expect(outcome.report.generation == 1, "the one that goes on")
        #expect(world.takeProbed() == [])
    }

    // MARK: Trying again

    @Test("a refused file is not probed again until it changes")
    func rememberedRefusal() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libBank.so", "broken")
        _ = await build(config(job("credit")), previous: first)
        _ = world.takeProbed()
        let again = await build(config(job("credit")), previous: first)
        #expect(world.takeProbed() == [])
        #expect(again.report.plugin("bank").contains("(as before: the file is unchanged; touch it to have it tried again)"))
        world.write("/lib/libBank.so", "bbbbbbbb")
        let fixed = await build(config(job("credit")), previous: first)
        #expect(world.takeProbed() == ["bbbbbbbb"])
        #expect(fixed.report.isClean)
    }

    @Test("a library that took too long may have met a busy machine: it is tried again as it is")
    func lateIsNoRefusal() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libBank.so", "bbbbbbbb")
        world.change { $0.slow = ["bbbbbbbb"] }
        let late = await build(config(job("credit")), previous: first)
        #expect(late.report.plugin("bank").hasPrefix("refused: /lib/libBank.so: not loaded within 10s; library aaaaaaa goes on"))
        world.change { $0.slow = [] }
        #expect(await build(config(job("credit")), previous: first).report.isClean)
    }

    @Test("what many jobs ask alike is asked once, and the answer is everybody's")
    func askedOnce() async throws {
        world.change { $0.dislikes["aaaaaaaa"] = [#"{"batch":7}"#: "batch must be even"] }
        let outcome = await build(
            config(job("a"), job("b"), job("c", entry: "debit"), job("d", settings: ["batch": 7]), job("e", settings: ["batch": 7])))
        #expect(world.world.withLock { $0.asked } == [3])
        #expect(outcome.generation?.jobs.keys.sorted() == ["a", "b", "c"])
        for name in ["d", "e"] { #expect(outcome.report.job(name).contains("settings of job '\(name)': plugin 'bank' refuses them: batch must be even")) }
    }

    @Test("a refused file is probed again for other settings")
    func refusalIsForTheSettings() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libBank.so", "broken")
        _ = await build(config(job("credit")), previous: first)
        _ = world.takeProbed()
        _ = await build(config(job("credit", settings: ["batch": 2])), previous: first)
        #expect(world.takeProbed() == ["broken"])
    }

    @Test("a fault of the host is not the library's: tried again")
    func hostFault() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libBank.so", "bbbbbbbb")
        world.change { $0.hostFault = "no process: EAGAIN" }
        let failed = await build(config(job("credit")), previous: first)
        #expect(failed.report.plugin("bank") == "refused: the host could not try /lib/libBank.so: no process: EAGAIN; library aaaaaaa goes on with its job as before: credit")
        world.change { $0.hostFault = nil }
        #expect(await build(config(job("credit")), previous: first).report.isClean)
    }

    @Test("a zone that the host cannot read for a fault of its own, of a job or of an entry's own schedule, is no fault of the library: tried again", arguments: [false, true])
    func unreadableZone(isEntrys: Bool) async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        let cron = ScheduleSpec.cron(try CronExpression("0 8 * * *"), timeZone: "Asia/Tokyo")
        world.change { world in
            world.libraries["bbbbbbbb"] = library("2.0", entry("credit", schedule: isEntrys ? "cron 0 8 * * * Asia/Tokyo" : "none"))
            world.zoneFault = "too many open files"
        }
        world.write("/lib/libBank.so", "bbbbbbbb")
        let new = config(job("credit") { if !isEntrys { $0.schedule = cron } })
        let failed = await build(new, previous: first)
        let said = failed.report.plugin("bank")
        #expect(said.contains("the host could not try its jobs") && said.contains("too many open files"), "\(said)")
        #expect(failed.generation?.unserved?.untried == ["bank"])
        #expect(failed.generation?.plugins["bank"]?.copy.sha256 == "aaaaaaaa", "what serves goes on")
        world.change { $0.zoneFault = nil }
        let again = await build(new, previous: failed.generation)
        #expect(again.report.isClean && again.generation?.jobs["credit"]?.schedule == cron)
    }

    @Test("a config that the host could not read for a fault of its own is not refused for what it says")
    func unread() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        func outcome(_ isOfHost: Bool) async -> BuildOutcome {
            let errors = ["no job 'x'", "cannot read jobs.toml"].map { ConfigError(position: nil, message: $0, isOfHost: isOfHost && $0.hasPrefix("cannot")) }
            world.change { $0.config = .failure(ConfigErrors(errors)) }
            return await builder.build(file: "jobs.toml", environment: [:], previous: first, accepted: [])
        }
        let unread = await outcome(true), refused = await outcome(false)
        #expect(unread.unreadReason == "cannot read jobs.toml" && !unread.report.accepted && unread.report.errors == ["no job 'x'", "cannot read jobs.toml"])
        #expect(refused.unreadReason == nil && refused.report.errors == unread.report.errors)
    }

    @Test("an unchanged file is not copied again")
    func copiedOnce() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        _ = await build(config(job("credit")), previous: first)
        #expect(world.world.withLock { $0.accepted } == ["/lib/libBank.so"])
    }

    @Test("a changed environment or limit of the workers is a reason to probe again")
    func probeAfterLimits() async throws {
        let first = try #require(await build(config(job("credit"))).generation)
        _ = world.takeProbed()
        let limited = config(job("credit")) { $0.plugins["bank"]?.memoryLimit = 64 << 20 }
        let outcome = await build(limited, previous: first)
        #expect(world.takeProbed() == ["aaaaaaaa"])
        #expect(outcome.report.plugin("bank") == "changed: memory_limit")
    }

    @Test("the environment of the workers is what the config lists, and missing names are told")
    func environment() async throws {
        let outcome = await build(
            config(job("credit")) { $0.plugins["bank"]?.environment = ["CHAIN_URL", "MISSING"] },
            environment: ["CHAIN_URL": "http://x", "SECRET": "y"])
        #expect(outcome.generation?.pools.first?.environment == ["CHAIN_URL": "http://x"])
        #expect(outcome.report.warnings == ["plugin 'bank': MISSING of its env is not set in the host's environment"])
    }

    @Test("a job after one that is not there is told")
    func dangling() async {
        let outcome = await build(config(job("credit") { $0.schedule = .after(job: "ghost") }))
        #expect(outcome.report.warnings == ["job 'credit' runs after 'ghost', which is not there now: it will not run"])
    }

    // MARK: Jobs that are not there

    @Test("a job that does not serve is known with its reason, and with the payloads its library accepts")
    func refusedJobs() async throws {
        world.change { world in
            world.libraries["aaaaaaaa"] = library("1.0", entry("credit", payload: #"{"type":"object"}"#), entry("debit"))
            world.dislikes["aaaaaaaa"] = [#"{"rate":-1}"#: "'rate' must be positive"]
        }
        world.write("/lib/libMint.so", "broken")
        let jobs = config(plugins: two, job("credit", settings: ["rate": -1]), job("debit", entry: "debit"), job("coins", plugin: "mint", entry: "debit"))
        let outcome = await build(jobs)
        let generation = try #require(outcome.generation)
        #expect(generation.refused.keys.sorted() == ["coins", "credit"])
        #expect(generation.refused["credit"]?.reason.contains("'rate' must be positive") == true)
        #expect(generation.refused["credit"]?.payloadSchema == #"{"type":"object"}"#)
        #expect(generation.refused["coins"]?.reason.contains("SIGSEGV") == true)
        #expect(generation.refused["coins"]?.payloadSchema == "")
        #expect(outcome.report.jobs.map(\.serves) == [false, false, true], "coins, credit, debit")
        #expect(generation.kept.isEmpty)
    }

    @Test("a refused plugin names the jobs that go on with it, also those that nothing is wrong with")
    func namesTheConsequence() async throws {
        let first = try #require(await build(config(job("credit"), job("debit", entry: "debit"))).generation)
        world.change { $0.dislikes["aaaaaaaa"] = [#"{"rate":-1}"#: "'rate' must be positive"] }
        let outcome = await build(config(job("credit", settings: ["rate": -1]), job("debit", entry: "debit")), previous: first)
        #expect(outcome.report.plugin("bank").hasSuffix("; library aaaaaaa goes on with all its 2 jobs as before: credit, debit"))
        let next = try #require(outcome.generation)
        #expect(next.refused.isEmpty)
        #expect(next.kept.keys.sorted() == ["credit"])
        #expect(outcome.report.jobs.map(\.serves) == [true, true])
    }

    @Test("a config that removes many jobs is warned of; one without any is refused unless that is meant")
    func removesJobs() async throws {
        let first = try #require(await build(config(job("a"), job("b"), job("c"))).generation)
        let short = await build(config(job("a")), previous: first)
        #expect(short.report.accepted)
        #expect(short.report.warnings == ["this removes 2 of 3 jobs: if that is not meant, is the config cut short?"])
        let empty = await build(config(), previous: first)
        #expect(empty.generation == nil)
        #expect(empty.report.errors == ["jobs.toml has no jobs, and 3 jobs would be removed (if that is meant: jobhost reload --allow-empty)"])
        world.set(config())
        let meant = await builder.build(file: "jobs.toml", environment: [:], previous: first, accepted: [], allowsEmpty: true)
        #expect(meant.generation?.jobs.isEmpty == true)
        #expect(await build(config()).generation != nil, "a start has nothing to lose")
    }
}
