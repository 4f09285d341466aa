import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Libraries that were refused are tried again when their files change, without a reload of the config.
@Suite("Refused libraries")
struct RefusedLibraryTests {
    private let world = ScriptedTools()
    private let builder: GenerationBuilder
    private let two = ["bank": "/lib/libBank.so", "mint": "/lib/libMint.so"]

    init() {
        builder = GenerationBuilder(tools: world.tools)
        world.write("/lib/libBank.so", "aaaaaaaa")
        world.write("/lib/libMint.so", "mmmmmmmm")
        world.change { world in
            world.libraries["aaaaaaaa"] = library("1.0")
            world.libraries["bbbbbbbb"] = library("1.1")
            world.libraries["mmmmmmmm"] = library("3.0")
            world.libraries["nnnnnnnn"] = library("3.1")
            world.unacceptable["half"] = LibraryRefusal("it is cut short")
        }
    }

    private func build(_ config: HostConfig, previous: Generation? = nil, accepted: [AcceptedLibrary] = []) async -> BuildOutcome {
        world.set(config)
        return await builder.build(file: "jobs.toml", environment: [:], previous: previous, accepted: accepted)
    }

    /// The config's file is in a state that nobody shall read.
    private func tryAgain(_ previous: Generation) async -> BuildOutcome {
        world.change { $0.config = .failure(ConfigErrors([ConfigError(position: nil, message: "half an edit")])) }
        return await builder.build(
            file: "jobs.toml", environment: [:], previous: previous, accepted: [], choicesOnly: true, triesAgain: true)
    }

    // MARK: When

    private func stamp(_ version: Int64) -> FileStamp { FileStamp(device: 1, inode: 1, size: 1, modified: version, changed: version) }

    @Test("a file is tried again once it has changed and stood still from one look to the next")
    func whenQuiet() {
        var watch = RefusedWatch()
        let refused: [String: FileStamp?] = ["bank": stamp(1), "mint": nil]
        func look(_ refused: [String: FileStamp?], _ now: [String: FileStamp?], _ seconds: Int64 = 0) -> [String] {
            watch.look(refused: refused, now: now, at: MonotonicInstant(microseconds: seconds * 1_000_000))
        }
        #expect(look(refused, ["bank": stamp(1), "mint": nil]) == [])
        #expect(look(refused, ["bank": stamp(1), "mint": nil]) == [], "unchanged, however long")
        #expect(look(refused, ["bank": stamp(2), "mint": stamp(7)]) == [], "perhaps it is being written")
        #expect(look(refused, ["bank": stamp(3), "mint": stamp(7)]) == ["mint"])
        #expect(look(refused, ["bank": stamp(3), "mint": stamp(7)], 60) == ["bank", "mint"], "until it was tried")
        #expect(look(["bank": stamp(3)], ["bank": stamp(3)], 600) == [], "refused as it is now")
        #expect(look(["bank": stamp(3)], ["bank": nil], 600) == [])
        #expect(look(["bank": stamp(3)], ["bank": nil], 600) == [], "gone is nothing to try")
    }

    @Test("a try whose build is given up is made again after a minute, after two more, then four, at last every hour; a file that changes again is tried at once")
    func whenGivenUp() {
        var watch = RefusedWatch()
        var tried: [Int64] = []
        func look(_ seconds: Int64, _ version: Int64) -> Bool {
            !watch.look(refused: ["bank": stamp(1)], now: ["bank": stamp(version)], at: MonotonicInstant(microseconds: seconds * 1_000_000)).isEmpty
        }
        for seconds in stride(from: Int64(0), to: 20_000, by: 2) where look(seconds, 2) { tried.append(seconds) }
        #expect(tried == [2, 62, 182, 422, 902, 1_862, 3_782, 7_382, 10_982, 14_582, 18_182])
        #expect(!look(20_000, 3))
        #expect(look(20_002, 3))
    }

    @Test("what the host could not try is tried again though the file stays: after two looks, then after 4, 8, 16 s, at last every five minutes; anew once all serves")
    func whenUntried() {
        var watch = RefusedWatch()
        var tried: [Int64] = []
        let files: [String: FileStamp?] = ["bank": stamp(1), "mint": stamp(1)]
        for seconds in stride(from: Int64(0), to: 1_300, by: 2) {
            let again = watch.look(refused: files, untried: ["bank"], now: files, at: MonotonicInstant(microseconds: seconds * 1_000_000))
            #expect(again == [] || again == ["bank"], "of the other one is known what it is")
            if !again.isEmpty { tried.append(seconds) }
        }
        #expect(tried == [2, 6, 14, 30, 62, 126, 254, 510, 810, 1_110])
        // The file is written to meanwhile.
        let now: [String: FileStamp?] = ["bank": stamp(2), "mint": stamp(1)]
        #expect(watch.look(refused: files, untried: ["bank"], now: now, at: MonotonicInstant(microseconds: 5_000_000_000)) == [])
        #expect(watch.look(refused: files, untried: ["bank"], now: now, at: MonotonicInstant(microseconds: 5_000_000_000)) == ["bank"])
    }

    // MARK: What

    @Test("a fault of the host's at a reload and at a start: what it could not try, or not copy, is tried again as it is; what was refused is not")
    func untried() async throws {
        let first = try #require(await build(config(plugins: ["bank": "/lib/libBank.so"], job("credit"))).generation)
        world.write("/lib/libBank.so", "bbbbbbbb")
        world.write("/lib/libMint.so", "half")
        world.change { $0.hostFault = "no process: EAGAIN" }
        let wanted = config(plugins: two, job("credit"), job("coins", plugin: "mint", entry: "debit"))
        let failed = try #require(await build(wanted, previous: first).generation)
        #expect(failed.unserved?.untried == ["bank"] && failed.unserved?.files.keys.sorted() == ["bank", "mint"])
        #expect(failed.jobs["credit"]?.libraryHash == "aaaaaaaa")
        let still = try #require(await tryAgain(failed).generation)
        #expect(still.unserved?.untried == ["bank"] && still.jobs["credit"]?.libraryHash == "aaaaaaaa")
        world.change { $0.hostFault = nil }
        let tried = try #require(await tryAgain(still).generation)
        #expect(tried.jobs["credit"]?.libraryHash == "bbbbbbbb")
        #expect(tried.unserved?.untried == [] && tried.unserved?.files.keys.sorted() == ["mint"])

        world.write("/lib/libMint.so", "half")
        world.change { $0.unacceptable["half"] = LibraryRefusal("cannot write: No space left on device (ENOSPC)", isHostFault: true) }
        let started = try #require(await build(wanted).generation)
        #expect(started.unserved?.untried == ["mint"] && started.refused.keys.sorted() == ["coins"])
    }


    @Test("a new plugin whose library was half copied: its jobs are added when it is whole; nothing else is looked at")
    func added() async throws {
        let first = try #require(await build(config(plugins: ["bank": "/lib/libBank.so"], job("credit"))).generation)
        #expect(first.unserved == nil)
        world.write("/lib/libMint.so", "half")
        let wanted = config(plugins: two, job("credit"), job("coins", plugin: "mint", entry: "debit"))
        let refused = try #require(await build(wanted, previous: first).generation)
        #expect(refused.jobs.keys.sorted() == ["credit"] && refused.refused.keys.sorted() == ["coins"])
        #expect(refused.unserved?.files.keys.sorted() == ["mint"])
        #expect(await builder.stamps(of: try #require(refused.unserved)) == refused.unserved?.files)

        world.write("/lib/libMint.so", "mmmmmmmm")
        // Its turn is the next reload.
        world.write("/lib/libBank.so", "bbbbbbbb")
        let outcome = await tryAgain(refused)
        let whole = try #require(outcome.generation)
        #expect(whole.jobs["coins"]?.libraryHash == "mmmmmmmm" && whole.jobs["credit"]?.libraryHash == "aaaaaaaa")
        #expect(whole.unserved == nil && whole.refused.isEmpty)
        #expect(outcome.report.job("coins") == "added: every 10s" && outcome.report.job("credit") == "kept: ")
        #expect(outcome.report.isClean)
    }

    @Test("a changed library that was half copied takes the new config with it when it is whole; refused again, it is watched as it is now")
    func changed() async throws {
        let old = try #require(await build(config(job("credit"))).generation)
        world.write("/lib/libBank.so", "half")
        let wanted = config(job("credit") { $0.priority = 7 })
        var generation = try #require(await build(wanted, previous: old).generation)
        #expect(generation.jobs["credit"]?.config.priority == 0 && generation.kept.keys.sorted() == ["credit"])
        let before = generation.unserved?.files
        world.write("/lib/libBank.so", "half")
        generation = try #require(await tryAgain(generation).generation)
        #expect(generation.jobs["credit"]?.config.priority == 0 && generation.kept.keys.sorted() == ["credit"])
        #expect(generation.unserved != nil && generation.unserved?.files != before)
        world.write("/lib/libBank.so", "bbbbbbbb")
        let outcome = await tryAgain(generation)
        #expect(outcome.generation?.jobs["credit"]?.config.priority == 7 && outcome.generation?.jobs["credit"]?.libraryHash == "bbbbbbbb")
        #expect(outcome.generation?.unserved == nil && outcome.generation?.kept == [:] && outcome.report.isClean)
    }

    @Test("at a start whose library is damaged the accepted copy serves, and the file again once it is whole")
    func atStart() async throws {
        world.write("/lib/libBank.so", "half")
        let accepted = [AcceptedLibrary(plugin: "bank", sha256: "aaaaaaaa", path: "/copies/aaaaaaaa", acceptedAt: .epoch)]
        let generation = try #require(await build(config(job("credit")), accepted: accepted).generation)
        #expect(generation.plugins["bank"]?.problem.isEmpty == false && generation.unserved != nil)
        world.write("/lib/libBank.so", "bbbbbbbb")
        let whole = await tryAgain(generation).generation
        #expect(whole?.plugins["bank"]?.copy.sha256 == "bbbbbbbb" && whole?.plugins["bank"]?.problem == "" && whole?.unserved == nil)
    }

    @Test("a job that moves to a refused plugin moves when that one is whole")
    func moves() async throws {
        let first = try #require(await build(config(plugins: two, job("credit"), job("coins", plugin: "mint", entry: "debit"))).generation)
        world.write("/lib/libMint.so", "half")
        let wanted = config(plugins: two, job("credit", plugin: "mint"), job("coins", plugin: "mint", entry: "debit"))
        let refused = try #require(await build(wanted, previous: first).generation)
        #expect(refused.jobs["credit"]?.config.plugin == "bank")
        world.write("/lib/libMint.so", "nnnnnnnn")
        let whole = await tryAgain(refused).generation
        #expect(whole?.jobs["credit"]?.config.plugin == "mint" && whole?.unserved == nil)
    }

    @Test("obeying a choice meanwhile forgets nothing of what waits")
    func choice() async throws {
        let first = try #require(await build(config(plugins: ["bank": "/lib/libBank.so"], job("credit"))).generation)
        world.write("/lib/libMint.so", "half")
        let wanted = config(plugins: two, job("credit"), job("coins", plugin: "mint", entry: "debit"))
        let refused = try #require(await build(wanted, previous: first).generation)
        let other = LibraryCopy(sha256: "bbbbbbbb", path: "/copies/bbbbbbbb")
        let serving = try #require(refused.plugins["bank"]?.copy)
        let back = ["bank": LibraryChoice.rollBack(to: other, from: serving, by: "root", reason: "")]
        let chosen = try #require(await builder.build(
            file: "jobs.toml", environment: [:], previous: refused, accepted: [], choices: back, choicesOnly: true).generation)
        #expect(chosen.plugins["bank"]?.copy == other && chosen.unserved?.files == refused.unserved?.files)
        world.write("/lib/libMint.so", "mmmmmmmm")
        let whole = await tryAgain(chosen).generation
        #expect(whole?.jobs["coins"]?.libraryHash == "mmmmmmmm" && whole?.plugins["bank"]?.copy == other)
    }
}
