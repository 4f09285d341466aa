import Glibc
import Testing

/// The real binaries: libraries that do harm while they are loaded, and files that change under the host.
@Suite("Libraries, end to end", .timeLimit(.minutes(8))) struct LibraryTests {
    private let good = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"")
    /// Short only where it is what refuses the library: on a busy machine every worker is slow.
    private func startTimeout(_ reason: String) -> String { "start_timeout = \"\(reason.hasPrefix("not loaded") ? "3s" : "90s")\"" }

    private func constructor(_ body: String) -> String {
        PluginSource.entry(
            "return JOB_SUCCEEDED;",
            globals: "__attribute__((constructor)) static void early(void) { tell(\"loading\"); \(body) }")
    }

    @Test(
        "A library that falls in its constructor is refused with the reason; the host and its other jobs go on",
        arguments: [
            ("abort();", "SIGABRT"), ("*(volatile int *)8 = 1;", "SIGSEGV"), ("_exit(0);", "while the library was loaded"),
            ("for (;;) pause();", "not loaded within 3s"),
            ("sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); for (;;) {}", "not loaded within 3s"),
            ("fprintf(stderr, \"no licence\\n\"); exit(1);", "no licence"),
        ])
    func evilConstructor(body: String, reason: String) async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(good)
            let host = try await test.start()
            try await test.plugin("evil", constructor(body))
            try test.config(good + Toml.plugin("evil", startTimeout(reason)) + Toml.job("never", of: "evil"))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output) \(reload.errors)")
            #expect(reload.output.contains("evil") && reload.output.contains(reason), "\(reload.output)")
            let worker = try await beacon.pid("loading")
            #expect(Proc.ended(worker))
            let at = try await host.logs("plugin evil refused", reason)
            try await host.logs("✓ tick", from: at)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            if reason.hasPrefix("not loaded") { expectEnd(after: try test.ledger.buildTook(), atLimit: 3_000, "the probe") }
            #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
            #expect(try test.ledger.texts("SELECT DISTINCT ifnull(outcome, state) FROM runs WHERE finished_at IS NOT NULL") == ["succeeded"])
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs WHERE outcome IS NOT NULL") == 1)
        }
    }

    @Test(
        "At a start the last accepted copy serves instead of a library that falls in its constructor; nothing of that one is left",
        arguments: [
            ("abort();", "SIGABRT"), ("for (;;) pause();", "not loaded within 3s"),
            ("for (int i = 0; i < 20000; i++) printf(\"hello %d\\n\", i); fprintf(stderr, \"no licence\\n\"); exit(1);", "no licence"),
            ("if (fork() == 0) { setsid(); tell(\"child\"); for (;;) pause(); } for (;;) pause();", "not loaded within 3s"),
            ("if (fork() == 0) { setsid(); if (fork() > 0) _exit(0); tell(\"child\"); for (;;) pause(); } wait(NULL); wait_gate();", "not loaded within 3s"),
        ])
    func evilAtStart(body: String, reason: String) async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("evil", PluginSource.says("old code"))
            try test.config(good + Toml.plugin("evil", startTimeout(reason)) + Toml.job("evil", of: "evil", Toml.once))
            let first = try await test.start()
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            try await test.plugin("evil", constructor(body))
            let second = try await test.start()
            try await second.logs("WARN", "evil", "serves instead", reason)
            try await second.logs("✓ tick")
            #expect(try await test.jobhost("trigger", "evil", "--wait").output.contains("old code"))
            #expect(Proc.ended(try await beacon.pid("loading")))
            if body.contains("child") { #expect(Proc.ended(try await beacon.pid("child"))) }
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            if reason.hasPrefix("not loaded") { expectEnd(after: try test.ledger.buildTook(), atLimit: 3_000, "the probe") }
            _ = gate
        }
    }

    @Test("A host that is stopped while libraries hang in its start ends at once, with whoever tried them")
    func stoppedInItsStart() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("evil", constructor("for (;;) pause();"))
            try test.config(Toml.plugin("evil", "start_timeout = \"10m\"") + Toml.job("evil", of: "evil", Toml.once))
            let host = try test.launch()
            let loading = try await beacon.pid("loading")
            host.signal(SIGTERM)
            try await host.logs("stopped by", "before anything had begun")
            #expect(await host.exitCode() == 0)
            #expect(Proc.ended(loading))
            // What it left is no obstacle to the next start.
            try await test.plugin("evil", PluginSource.says("good code"))
            let again = try await test.start()
            #expect(try await test.jobhost("trigger", "evil", "--wait").output.contains("good code"))
            again.signal(SIGTERM)
            #expect(await again.exitCode() == 0)
        }
    }

    @Test("A library renamed over the old one and a SIGHUP: the next run uses the new code and has its hash")
    func renamedOver() async throws {
        try await TestHost.with { test in
            func hash() async throws -> String {
                let sum = try test.run("/usr/bin/sha256sum", test.library("good"))
                _ = await sum.exitCode()
                return String(try #require(sum.output.all.first).prefix(64))
            }
            try await test.plugin("good", PluginSource.says("old code"))
            try test.config(Toml.plugin("good") + Toml.job("one", of: "good", Toml.once))
            let host = try await test.start()
            var hashes = [try await hash()]
            #expect(try await test.jobhost("trigger", "one", "--wait").output.contains("old code"))
            for round in 2...4 {
                try await test.plugin("good", PluginSource.says("code \(round)"))
                hashes.append(try await hash())
                host.signal(SIGHUP)
                try await host.logs("generation \(round) serves")
                #expect(try await test.jobhost("trigger", "one", "--wait").output.contains("code \(round)"))
            }
            #expect(try test.ledger.texts("SELECT library_hash FROM runs ORDER BY id") == hashes)
        }
    }

    @Test("A half-copied library is refused; once it is whole and quiet it serves, without anybody asking, and without a look at the config")
    func halfCopied() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("old code"))
            try await test.plugin("other", PluginSource.says("other"))
            let old = Toml.plugin("good") + Toml.job("tick", of: "good", Toml.once)
            try test.config(old)
            let host = try await test.start()
            try await test.plugin("whole", PluginSource.says("new code"))
            let whole = try bytes(of: test.library("whole"))
            let added = try bytes(of: test.library("other"))
            try overwrite(test.library("good"), with: whole[..<(whole.count / 2)])
            try overwrite(test.library("other"), with: added[..<(added.count / 2)])
            try test.config(old + Toml.plugin("other") + Toml.job("other", of: "other", Toml.once))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output) \(reload.errors)")
            #expect(try await test.jobhost("trigger", "tick", "--wait").output.contains("old code"))
            #expect(try await test.jobhost("trigger", "other").code != 0)

            // Nobody shall read this.
            try test.config("[jobs.half\n")
            try overwrite(test.library("good"), with: whole[...])
            try overwrite(test.library("other"), with: added[...])
            try await host.logs("other added")
            let at = try await host.logs("plugin good:", "has changed since it was refused")
            try await host.logs("generation", "serves", from: at)
            #expect(try await test.jobhost("trigger", "tick", "--wait").output.contains("new code"))
            #expect(try await test.jobhost("trigger", "other", "--wait").output.contains("other"))
            #expect(try await test.jobhost("audit").output.contains("library tried again"))
        }
    }

    @Test("A library that everybody may write to is refused at a reload and at a start; without that right it serves by itself")
    func worldWritable() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("open", PluginSource.says("old code"))
            let config = good + Toml.plugin("open") + Toml.job("open", of: "open", Toml.once)
            try test.config(config)
            let first = try await test.start()
            try await test.plugin("open", PluginSource.says("anybody's code"))
            chmod(test.library("open"), 0o666)
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4 && reload.output.contains("chmod o-w \(test.library("open"))"), "\(reload.output)")
            #expect(try await test.jobhost("trigger", "open", "--wait").output.contains("old code"))
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)

            let second = try await test.start()
            try await second.logs("WARN", "open", "serves instead", "everybody may write to")
            #expect(try await test.jobhost("trigger", "open", "--wait").output.contains("old code"))
            chmod(test.library("open"), 0o644)
            let at = try await second.logs("plugin open:", "has changed since it was refused")
            try await second.logs("generation", "serves", from: at)
            #expect(try await test.jobhost("trigger", "open", "--wait").output.contains("anybody's code"))
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)

            // Where nothing was accepted before, nothing of it serves.
            chmod(test.library("open"), 0o666)
            try test.config(config.replacing("[plugins.open]", with: "[plugins.fresh]").replacing("plugin = \"open\"", with: "plugin = \"fresh\""))
            let third = try await test.start()
            try await third.logs("open refused", "everybody may write to")
            try await third.logs("✓ tick")
            #expect(try await test.jobhost("trigger", "open", "--wait").code != 0)
        }
    }

    @Test("A library that prints in its constructor serves; one that forks there leaves nothing behind its probe, nor behind the host")
    func noisyConstructor() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(good)
            let host = try await test.start()
            try await test.plugin(
                "noisy", constructor("for (int i = 0; i < 20000; i++) printf(\"hello %d\\n\", i); fprintf(stderr, \"\\xff\\xfe\\n\");"))
            // Loaded only when its child has spoken: a probe is killed as soon as it has its answer.
            try await test.plugin(
                "forks",
                constructor(
                    """
                    int ends[2]; char byte;
                    if (pipe(ends) < 0) abort();
                    if (fork() == 0) { setsid(); tell("child"); if (write(ends[1], "", 1) < 0) abort(); for (;;) pause(); }
                    if (read(ends[0], &byte, 1) < 0) abort();
                    """))
            try test.config(
                good + Toml.plugin("noisy") + Toml.job("noisy", of: "noisy", Toml.once) + Toml.plugin("forks")
                    + Toml.job("forks", of: "forks", Toml.once))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 0, "\(reload.output) \(reload.errors)")
            let said = try await beacon.hears("child").index
            #expect(Proc.ended(try await beacon.pid("child")))
            #expect(try await test.jobhost("trigger", "noisy", "--wait").code == 0)
            #expect(try await test.jobhost("trigger", "forks", "--wait").code == 0)
            let companion = try await beacon.pid("child", from: said + 1)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(Proc.ended(companion))
        }
    }

    @Test("A library overwritten in place under a running run: it finishes on the old code; damaged ones are refused, the whole one serves")
    func overwritten() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("slow", PluginSource.waits("old code"))
            try test.config(Toml.plugin("slow") + Toml.job("slow", of: "slow", "schedule = \"none\"\ntimeout = \"10m\""))
            let host = try await test.start()
            try await test.jobhost("trigger", "slow")
            _ = try await beacon.hears("started")

            try await test.plugin("whole", PluginSource.says("new code"))
            let whole = try bytes(of: test.library("whole"))
            var random = SeededRandom(seed: 4)
            for _ in 0..<12 {
                let length = Int(random.next() % UInt64(whole.count - 1)) + 1
                try overwrite(test.library("slow"), with: whole.prefix(length))
                let reload = try await test.jobhost("reload")
                #expect(reload.code == 4, "cut to \(length) of \(whole.count): \(reload.output) \(reload.errors)")
                #expect(reload.output.contains("libslow.so"), "\(reload.output)")
            }
            try overwrite(test.library("slow"), with: [])
            #expect(try await test.jobhost("reload").code == 4)
            try gate.open()
            try await host.logs("✓ slow run 1", "old code")

            try overwrite(test.library("slow"), with: whole[...])
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 0, "\(reload.output) \(reload.errors)")
            #expect(try await test.jobhost("trigger", "slow", "--wait").code == 0)
            try await host.logs("✓ slow run 2", "new code")
            #expect(try test.ledger.number("SELECT count(DISTINCT library_hash) FROM runs") == 2)
        }
    }

    @Test("What is not a library at all is refused in a sentence", arguments: ["a folder", "a FIFO", "gone", "zeros", "text"])
    func noLibrary(kind: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(good)
            let host = try await test.start()
            let path = test.library("good")
            unlink(path)
            switch kind {
            case "a folder": mkdir(path, 0o755)
            case "a FIFO": mkfifo(path, 0o644)
            case "zeros": try overwrite(path, with: [UInt8](repeating: 0, count: 100_000)[...])
            case "text": try overwrite(path, with: Array("#!/bin/sh\nexit 1\n".utf8)[...])
            default: break
            }
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4)
            #expect((reload.output + reload.errors).contains("libgood.so"), "\(reload.output) \(reload.errors)")
            try await host.logs("✓ tick", from: host.errors.all.count)
        }
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4 << 20)
        let count = read(file, &buffer, buffer.count)
        guard count > 0 else { throw TestHost.Failure("cannot read \(path): \(errno)") }
        return Array(buffer[..<count])
    }

    /// The same file, other bytes: as `cp` does, and as nobody should.
    private func overwrite(_ path: String, with bytes: ArraySlice<UInt8>) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        defer { close(file) }
        guard file >= 0, bytes.withUnsafeBytes({ write(file, $0.baseAddress, $0.count) }) == bytes.count else {
            throw TestHost.Failure("cannot write \(path): \(errno)")
        }
    }
}

/// The same numbers for the same seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
