import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Which library of a plugin serves: the file's, one that was rolled back to, one beside a canary.
@Suite("Which library serves")
struct LibraryChoiceTests {
    private let world = ScriptedTools()
    private let builder: GenerationBuilder
    private let a = LibraryCopy(sha256: "aaaaaaaa", path: "/copies/aaaaaaaa")
    private let b = LibraryCopy(sha256: "bbbbbbbb", path: "/copies/bbbbbbbb")
    private let c = LibraryCopy(sha256: "cccccccc", path: "/copies/cccccccc")

    init() {
        builder = GenerationBuilder(tools: world.tools)
        world.write("/lib/libBank.so", "aaaaaaaa")
        world.write("/lib/libMint.so", "mmmmmmmm")
        world.change { world in
            world.libraries["aaaaaaaa"] = library("1.0")
            world.libraries["bbbbbbbb"] = library("1.1")
            world.libraries["cccccccc"] = library("1.2", entry("credit"), entry("fresh"))
            world.libraries["mmmmmmmm"] = library("3.0")
            world.libraries["nnnnnnnn"] = library("3.1")
        }
    }

    private func build(
        _ config: HostConfig, previous: Generation? = nil, history: LibraryHistory = LibraryHistory(),
        choices: [String: LibraryChoice] = [:], choicesOnly: Bool = false
    ) async -> BuildOutcome {
        world.set(config)
        return await builder.build(
            file: "jobs.toml", environment: [:], previous: previous, accepted: [], history: history, choices: choices,
            choicesOnly: choicesOnly)
    }

    private func first(_ config: HostConfig) async throws -> (generation: Generation, history: LibraryHistory) {
        let generation = try #require(await build(config).generation)
        var history = LibraryHistory()
        history.record(generation, at: Instant(seconds: 1))
        return (generation, history)
    }

    private let canary: (inout HostConfig) -> Void = { $0.plugins["bank"]?.canary = .init(runs: 5) }

    // MARK: Rolling back

    @Test("a rollback serves the earlier copy until the file is another one, over reloads and a restart")
    func rollsBack() async throws {
        let config = config(job("credit"))
        var (generation, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        generation = try #require(await build(config, previous: generation, history: history).generation)
        history.record(generation, at: Instant(seconds: 2))
        #expect(history.plugins["bank"]?.versions.map(\.sha256) == ["aaaaaaaa", "bbbbbbbb"])

        let outcome = await build(
            config, previous: generation, history: history, choices: ["bank": .rollBack(to: a, from: b, by: "root", reason: "wrong sums")],
            choicesOnly: true)
        generation = try #require(outcome.generation)
        history.record(generation, at: Instant(seconds: 3))
        #expect(generation.jobs["credit"]?.libraryHash == "aaaaaaaa")
        #expect(outcome.report.plugin("bank").contains("rolled back by root: wrong sums"), "\(outcome.report.plugin("bank"))")
        #expect(outcome.report.isClean)

        for previous in [generation, nil] {
            let again = try #require(await build(config, previous: previous, history: history).generation)
            #expect(again.plugins["bank"]?.copy == a && again.plugins["bank"]?.rollback?.insteadOf == b)
        }
        world.write("/lib/libBank.so", "cccccccc")
        let changed = try #require(await build(config, previous: generation, history: history).generation)
        #expect(changed.plugins["bank"]?.copy.sha256 == "cccccccc" && changed.plugins["bank"]?.rollback == nil)
        history.record(changed, at: Instant(seconds: 4))
        #expect(history.plugins["bank"]?.rollback == nil)
    }

    @Test(
        "a rollback outlives a start at which the file cannot be copied: once it can, it is still not what serves",
        arguments: [LibraryRefusal("cannot copy it: No space left on device", isHostFault: true), LibraryRefusal("cannot read it: Permission denied")])
    func unreadable(refusal: LibraryRefusal) async throws {
        let config = config(job("credit"))
        var (generation, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        generation = try #require(await build(config, previous: generation, history: history).generation)
        history.record(generation, at: Instant(seconds: 2))
        generation = try #require(
            await build(
                config, previous: generation, history: history, choices: ["bank": .rollBack(to: a, from: b, by: "root", reason: "wrong sums")],
                choicesOnly: true).generation)
        history.record(generation, at: Instant(seconds: 3))

        let accepted = generation.acceptedLibraries(at: Instant(seconds: 3))
        world.change { $0.unacceptable["bbbbbbbb"] = refusal }
        for accepted in [accepted, []] {
            // Another builder: that of the next life.
            let outcome = await GenerationBuilder(tools: world.tools).build(
                file: "jobs.toml", environment: [:], previous: nil, accepted: accepted, history: history)
            let plugin = try #require(outcome.generation?.plugins["bank"])
            #expect(plugin.copy == a && plugin.rollback?.insteadOf == b)
            #expect(outcome.report.plugin("bank").hasPrefix("refused: library aaaaaaa, which was rolled back to, serves on: cannot "))
            generation = try #require(outcome.generation)
            history.record(generation, at: Instant(seconds: 4))
            #expect(history.plugins["bank"]?.rollback?.insteadOf == b)
        }
        world.change { $0.unacceptable = [:] }
        world.write("/lib/libBank.so", "bbbbbbbb")
        let readable = await build(config, previous: generation, history: history)
        #expect(readable.generation?.plugins["bank"]?.copy == a && readable.generation?.plugins["bank"]?.rollback?.insteadOf == b)
        #expect(readable.generation?.plugins["bank"]?.problem == "" && readable.report.isClean)
    }

    @Test("what serves for want of the file's library does not end a rollback")
    func forWant() async throws {
        let config = config(job("credit"))
        var (generation, history) = try await first(config)
        history.plugins["bank"]?.rollback = .init(serving: a, insteadOf: b, at: .epoch, by: "root", reason: "")
        generation.plugins["bank"]?.problem = "it does not load"
        history.record(generation, at: Instant(seconds: 2))
        #expect(history.plugins["bank"]?.rollback?.insteadOf == b)
        generation.plugins["bank"]?.problem = ""
        history.record(generation, at: Instant(seconds: 3))
        #expect(history.plugins["bank"]?.rollback == nil)
    }

    @Test("a file that changed meanwhile is not what is rolled back from: the next reload takes it")
    func changedMeanwhile() async throws {
        let config = config(job("credit"), change: canary)
        var (generation, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        generation = try #require(await build(config, previous: generation, history: history).generation)
        world.write("/lib/libBank.so", "cccccccc")
        let back: LibraryChoice = .rollBack(to: a, from: b, by: "canary", reason: "it crashed")
        generation = try #require(
            await build(config, previous: generation, history: history, choices: ["bank": back], choicesOnly: true).generation)
        history.record(generation, at: Instant(seconds: 2))
        #expect(generation.plugins["bank"]?.rollback?.insteadOf == b)
        let next = try #require(await build(config, previous: generation, history: history).generation)
        #expect(next.plugins["bank"]?.canary?.copy.sha256 == "cccccccc" && next.plugins["bank"]?.copy == a)
    }

    /// A serves, B was on trial when it was decided about; by a reload that was under way C is on trial now.
    private func overtaken() async throws -> (config: HostConfig, generation: Generation, history: LibraryHistory) {
        let config = config(job("credit"), change: canary)
        var (generation, history) = try await first(config)
        for hash in ["bbbbbbbb", "cccccccc"] {
            world.write("/lib/libBank.so", hash)
            generation = try #require(await build(config, previous: generation, history: history).generation)
            history.record(generation, at: Instant(seconds: 2))
        }
        #expect(generation.plugins["bank"]?.copy == a && generation.plugins["bank"]?.canary?.copy == c)
        return (config, generation, history)
    }

    @Test("what was decided about a library that a reload has replaced meanwhile is not done to its successor, and whoever asked hears of it")
    func successor() async throws {
        let (config, generation, history) = try await overtaken()
        let choices: [LibraryChoice] = [.rollBack(to: a, from: b, by: "canary", reason: "it crashed"), .serve(b), .takeOver(b)]
        for choice in choices {
            for choicesOnly in [true, false] {
                let outcome = await build(
                    config, previous: generation, history: history, choices: ["bank": choice], choicesOnly: choicesOnly)
                let plugin = try #require(outcome.generation?.plugins["bank"])
                #expect(plugin.copy == a && plugin.canary?.copy == c && plugin.rollback == nil, "\(choice)")
                let why = try #require(outcome.report.dropped["bank"])
                #expect(why.contains("meanwhile library aaaaaaa has come to serve, with ccccccc on trial beside it"), "\(why)")
                #expect(outcome.report.warnings.contains { $0.contains(why) })
            }
        }
        let gone = await build(
            config, previous: generation, history: history, choices: ["mint": .rollBack(to: a, from: b, by: "root", reason: "")],
            choicesOnly: true)
        #expect(gone.report.dropped["mint"]?.contains("not in the config any more") == true)
    }

    @Test("a canary's decision is not done where an operator has rolled back further meanwhile")
    func furtherBack() async throws {
        var (config, generation, history) = try await overtaken()
        let further = await build(
            config, previous: generation, history: history, choices: ["bank": .rollBack(to: b, from: c, by: "root", reason: "")],
            choicesOnly: true)
        generation = try #require(further.generation)
        history.record(generation, at: Instant(seconds: 3))
        for choice in [LibraryChoice.rollBack(to: a, from: c, by: "canary", reason: "it crashed"), .takeOver(c)] {
            let outcome = await build(config, previous: generation, history: history, choices: ["bank": choice], choicesOnly: true)
            #expect(outcome.generation?.plugins["bank"]?.copy == b && outcome.generation?.plugins["bank"]?.rollback?.insteadOf == c)
        }
        // An operator goes further back still: the file's library is what the rollback is from.
        let again = await build(
            config, previous: generation, history: history, choices: ["bank": .rollBack(to: a, from: b, by: "root", reason: "")],
            choicesOnly: true)
        #expect(again.generation?.plugins["bank"]?.copy == a && again.generation?.plugins["bank"]?.rollback?.insteadOf == c)
    }

    @Test("a reload that was asked for together with a rollback finds the file changed: the new one is tried, beside what was rolled back to")
    func together() async throws {
        let config = config(job("credit"), change: canary)
        var (generation, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        generation = try #require(await build(config, previous: generation, history: history).generation)
        history.record(generation, at: Instant(seconds: 2))
        let choices: [(LibraryChoice, serves: LibraryCopy)] = [
            (.rollBack(to: a, from: b, by: "canary", reason: "it crashed"), a), (.takeOver(b), b),
        ]
        for (choice, serves) in choices {
            world.write("/lib/libBank.so", "cccccccc")
            let plugin = await build(config, previous: generation, history: history, choices: ["bank": choice]).generation?.plugins["bank"]
            #expect(plugin?.copy == serves && plugin?.canary?.copy == c && plugin?.rollback == nil, "\(choice)")
            world.write("/lib/libBank.so", "bbbbbbbb")
            let same = await build(config, previous: generation, history: history, choices: ["bank": choice]).generation?.plugins["bank"]
            #expect(same?.copy == serves && same?.canary == nil, "\(choice)")
        }
    }

    @Test("a rollback from what served until a reload put another library on trial beside it: that one stays on trial")
    func beneathATrial() async throws {
        var (config, generation, history) = try await overtaken()
        generation = try #require(
            await build(config, previous: generation, history: history, choices: ["bank": .takeOver(c)], choicesOnly: true).generation)
        history.record(generation, at: Instant(seconds: 3))
        world.write("/lib/libBank.so", "bbbbbbbb")
        generation = try #require(await build(config, previous: generation, history: history).generation)
        #expect(generation.plugins["bank"]?.copy == c && generation.plugins["bank"]?.canary?.copy == b)
        let back = LibraryChoice.rollBack(to: a, from: c, by: "root", reason: "")
        let plugin = await build(config, previous: generation, history: history, choices: ["bank": back], choicesOnly: true)
            .generation?.plugins["bank"]
        #expect(plugin?.copy == a && plugin?.canary?.copy == b && plugin?.rollback == nil)
    }

    @Test("a rollback touches one plugin: what is on disk for the others, and the edited config, waits")
    func touchesOne() async throws {
        let config = config(
            plugins: ["bank": "/lib/libBank.so", "mint": "/lib/libMint.so"], job("credit"), job("coins", plugin: "mint"))
        let (generation, history) = try await first(config)
        world.write("/lib/libMint.so", "nnnnnnnn")
        world.change { $0.config = .failure(ConfigErrors([ConfigError(position: nil, message: "half an edit")])) }
        let outcome = await builder.build(
            file: "jobs.toml", environment: [:], previous: generation, accepted: [], history: history,
            choices: ["bank": .rollBack(to: b, from: a, by: "root", reason: "")], choicesOnly: true)
        let next = try #require(outcome.generation)
        #expect(next.plugins["bank"]?.copy == b && next.plugins["mint"]?.copy.sha256 == "mmmmmmmm")
        #expect(outcome.report.job("coins") == "kept: ")
    }

    @Test("an earlier library that does not serve the present config changes nothing")
    func doesNotFit() async throws {
        world.write("/lib/libBank.so", "cccccccc")
        let (generation, history) = try await first(config(job("new", entry: "fresh")))
        let outcome = await build(
            config(job("new", entry: "fresh")), previous: generation, history: history,
            choices: ["bank": .rollBack(to: a, from: c, by: "root", reason: "")], choicesOnly: true)
        #expect(!outcome.report.isClean)
        #expect(outcome.generation?.plugins["bank"]?.copy.sha256 == "cccccccc")
        #expect(outcome.generation?.plugins["bank"]?.rollback == nil)
    }

    @Test("going forward again takes the named copy, not what the file may have become meanwhile")
    func forward() async throws {
        let config = config(job("credit"), change: canary)
        let (old, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        let generation = try #require(await build(config, previous: old, history: history).generation)
        world.write("/lib/libBank.so", "cccccccc")
        let outcome = await build(
            config, previous: generation, history: history, choices: ["bank": .serve(b)], choicesOnly: true)
        let plugin = try #require(outcome.generation?.plugins["bank"])
        #expect(plugin.copy == b && plugin.rollback == nil && plugin.canary == nil)
    }

    @Test("so many copies are remembered, the newest last; what was rolled back from stays on disk too")
    func keepsSome() async throws {
        var history = LibraryHistory()
        for (index, hash) in ["aaaaaaaa", "bbbbbbbb", "aaaaaaaa", "cccccccc"].enumerated() {
            world.write("/lib/libBank.so", hash)
            let generation = try #require(await build(config(job("credit")) { $0.plugins["bank"]?.keepVersions = 2 }).generation)
            history.record(generation, at: Instant(seconds: Int64(index)))
        }
        #expect(history.plugins["bank"]?.versions.map(\.sha256) == ["aaaaaaaa", "cccccccc"])
        history.plugins["bank"]?.rollback = .init(serving: a, insteadOf: b, at: .epoch, by: "root", reason: "")
        #expect(history.copies == ["aaaaaaaa", "bbbbbbbb", "cccccccc"])
    }

    // MARK: Canary

    @Test("a changed library is put beside the old one, which goes on to serve every job")
    func besides() async throws {
        let config = config(job("credit"), job("alone") { $0.isolate = true }, change: canary)
        let (generation, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        let outcome = await build(config, previous: generation, history: history)
        let next = try #require(outcome.generation)
        #expect(next.plugins["bank"]?.copy == a && next.plugins["bank"]?.canary?.copy == b)
        #expect(next.jobs["credit"]?.libraryHash == "aaaaaaaa")
        #expect(next.pools.map(\.key) == ["bank", "bank/alone", "bank/alone@canary", "bank@canary"])
        #expect(next.pools.map(\.library.sha256) == ["aaaaaaaa", "aaaaaaaa", "bbbbbbbb", "bbbbbbbb"])
        #expect(outcome.report.plugin("bank").hasPrefix("changed: canary: library bbbbbbb (version 1.1) serves the next 5 runs"))
        #expect(outcome.report.job("credit") == "kept: ")
        _ = world.takeProbed()
        let again = try #require(await build(config, previous: next, history: history).generation)
        #expect(again.plugins["bank"]?.canary == next.plugins["bank"]?.canary)
        #expect(world.takeProbed() == [], "both are known")
    }

    @Test("since when it is on trial is remembered over a restart, until it serves, goes, or another one is on trial")
    func rememberedTrial() async throws {
        let config = config(job("credit"), change: canary)
        var (generation, history) = try await first(config)
        #expect(history.plugins["bank"]?.trial == nil)
        func next(_ second: Int64, previous: Bool = true, choices: [String: LibraryChoice] = [:]) async throws -> LibraryHistory.Trial? {
            generation = try #require(await build(config, previous: previous ? generation : nil, history: history, choices: choices).generation)
            history.record(generation, at: Instant(seconds: second))
            return history.plugins["bank"]?.trial
        }
        world.write("/lib/libBank.so", "bbbbbbbb")
        #expect(try await next(2) == .init(sha256: "bbbbbbbb", since: Instant(seconds: 2)))
        #expect(try await next(3) == .init(sha256: "bbbbbbbb", since: Instant(seconds: 2)), "a reload")
        #expect(try await next(4, previous: false) == .init(sha256: "bbbbbbbb", since: Instant(seconds: 2)), "a start")
        world.write("/lib/libBank.so", "cccccccc")
        #expect(try await next(5) == .init(sha256: "cccccccc", since: Instant(seconds: 5)))
        #expect(try await next(6, choices: ["bank": .takeOver(c)]) == nil)
        #expect(generation.plugins["bank"]?.copy == c)
    }

    @Test("a library that was changed while the host was down is a canary too")
    func atStart() async throws {
        let config = config(job("credit"), change: canary)
        let (_, history) = try await first(config)
        world.write("/lib/libBank.so", "bbbbbbbb")
        let generation = try #require(await build(config, history: history).generation)
        #expect(generation.plugins["bank"]?.copy == a && generation.plugins["bank"]?.canary?.copy == b)
    }

    @Test("a config that the old library cannot serve is refused with the reason, and nothing changes")
    func oldCannot() async throws {
        let (generation, history) = try await first(config(job("credit"), change: canary))
        world.write("/lib/libBank.so", "cccccccc")
        let outcome = await build(
            config(job("credit"), job("new", entry: "fresh"), change: canary), previous: generation, history: history)
        #expect(outcome.report.plugin("bank").contains("a canary needs the old one, aaaaaaa, beside it"), "\(outcome.report.plugin("bank"))")
        #expect(outcome.generation?.jobs.keys.sorted() == ["credit"] && outcome.generation?.plugins["bank"]?.canary == nil)
    }

    // MARK: Pins

    @Test("a library with another sha256 than the pinned one is refused by name of both; correcting the pin is enough")
    func pinned() async throws {
        var wanted = config(job("credit"))
        let (generation, history) = try await first(wanted)
        wanted.plugins["bank"]?.sha256 = "cccccccc"
        let refused = await build(wanted, previous: generation, history: history)
        #expect(refused.report.plugin("bank").contains("has the sha256 aaaaaaaa, but jobs.toml:1:1 allows only cccccccc"))
        #expect(refused.generation?.jobs["credit"]?.libraryHash == "aaaaaaaa", "the old one goes on")
        wanted.plugins["bank"]?.sha256 = "aaaaaaaa"
        #expect(await build(wanted, previous: generation, history: history).report.isClean)
    }

    @Test("at a start neither the file nor the copy that served before is taken against the pin: its jobs wait for the one that is allowed")
    func pinnedAtStart() async throws {
        var wanted = config(job("credit"))
        wanted.plugins["bank"]?.sha256 = "cccccccc"
        let accepted = AcceptedLibrary(plugin: "bank", sha256: "aaaaaaaa", path: "/copies/aaaaaaaa", acceptedAt: .epoch)
        world.set(wanted)
        let outcome = await builder.build(file: "jobs.toml", environment: [:], previous: nil, accepted: [accepted])
        #expect(outcome.report.plugin("bank").contains("has the sha256 aaaaaaaa, but jobs.toml:1:1 allows only cccccccc"))
        #expect(outcome.generation?.jobs.keys.sorted() ?? [] == [])
    }
}
