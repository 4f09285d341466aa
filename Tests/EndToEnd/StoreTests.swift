import Glibc
import SQL
import Testing

/// The real binaries: the store locked, read-only, full, gone.
@Suite("A store in trouble, end to end", .timeLimit(.minutes(8))) struct StoreTests {
    private let config = Toml.plugin("slow") + Toml.job("slow", of: "slow", Toml.once + "\ntimeout = \"10m\"") + Toml.plugin("good")
        + Toml.job("tick", of: "good", "every = \"1s\"")

    /// A host with a run under way; `spoil` takes the store away, the run ends, `mend` gives it
    /// back. Nothing may start meanwhile, and the result must be there afterwards.
    private func trouble(
        _ test: TestHost, _ environment: [String: String] = [:], through wrapper: [String] = [],
        spoil: () throws -> Void, mend: () throws -> Void
    ) async throws {
        let (beacon, gate) = (try test.beacon(), try test.gate())
        try await test.plugin("slow", PluginSource.waits("finished in the dark"))
        try await test.plugin("good", PluginSource.entry("append(FOLDER \"/ticks\", context->idempotency_key.data, context->idempotency_key.size); return JOB_SUCCEEDED;"))
        try test.config(config)
        let host = try await test.start(environment, through: wrapper)
        try await test.jobhost("trigger", "slow")
        _ = try await beacon.hears("started")
        try await host.logs("✓ tick")

        try spoil()
        try await host.logs("the store does not answer")
        // For longer than the host takes between its own looks at the store.
        let looks = ContinuousClock.now + .seconds(3)
        repeat {
            let status = try await test.jobhost("status")
            #expect(status.output.contains("the store does not answer"), "\(status.output)")
        } while ContinuousClock.now < looks
        let ill = try await test.health()
        #expect(ill.status == 503 && ill.body.contains("the store does not answer"), "\(ill)")
        #expect(try await test.jobhost("trigger", "tick").code == 8)
        let away = try await test.probe("/readyz")
        #expect(away.status == 503 && away.body == "the store does not answer\n", "\(away)")
        #expect(try await test.probe("/livez").status == 200)
        try gate.open()
        try await host.logs("✓ slow", "finished in the dark")

        try mend()
        let back = try await host.logs("the store answers again after", "calls had failed", "kept")
        let told = host.errors.all[..<back].filter { $0.contains("the store does not answer") }
        #expect(told.count == 1, "\(told)")
        try await host.logs("✓ tick", from: back)
        let healthy = try await test.jobhost("status")
        #expect(!healthy.output.contains("the store does not answer"), "\(healthy.output)")
        #expect(try await test.probe("/readyz").status == 200)
        let well = try await test.health()
        #expect(well.status == 200 && !well.body.contains("the store does not answer"), "\(well)")
        host.signal(SIGTERM)
        #expect(await host.exitCode() == 0)
        #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
        #expect(try test.ledger.texts("SELECT state FROM runs WHERE job = 'slow'") == ["succeeded"])
        // What was executed is what is on record: nothing started without a durable claim.
        let executed = Proc.text(of: test.folder + "/ticks")?.split(separator: "\n").map(String.init) ?? []
        let recorded = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE job = 'tick' AND state = 'succeeded'")
        #expect(Set(executed) == Set(recorded) && Set(executed).count == executed.count)
    }

    @Test("Locked by another program: nothing starts, results are kept and written afterwards, status says so")
    func locked() async throws {
        try await TestHost.with { test in
            var lock: SQLiteConnection?
            try await trouble(test) { lock = try test.ledger.locked() } mend: { lock?.close() }
        }
    }

    @Test("Asked to stop twice while another program locks the store: the host kills what runs and ends all the same")
    func stoppedTwice() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("slow", PluginSource.waits("never"))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let host = try await test.start()
            try await test.jobhost("trigger", "slow")
            _ = try await beacon.hears("started")
            let lock = try test.ledger.locked()
            defer { lock.close() }
            try await host.logs("the store does not answer")
            host.signal(SIGTERM)
            try await host.logs("stopping (SIGTERM)")
            // One wish may come twice within 100 ms.
            var asked = 0
            repeat {
                host.signal(SIGTERM)
                asked = host.errors.all.count { $0.contains("second stop") }
            } while asked == 0
            try await host.logs("could not be recorded: the store does not answer")
            #expect(await host.exitCode() == 0)
        }
    }

    @Test("The file moved away and put back: the same")
    func movedAway() async throws {
        try await TestHost.with { test in
            try await trouble(test) {
                for suffix in ["", "-wal", "-shm"] { rename(test.ledger.path + suffix, test.ledger.path + suffix + ".away") }
            } mend: {
                for suffix in ["-wal", "-shm", ""] { rename(test.ledger.path + suffix + ".away", test.ledger.path + suffix) }
            }
        }
    }

    @Test("The file deleted: the host says so and starts nothing; a restart begins an empty one")
    func deleted() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let first = try await test.start()
            try await first.logs("✓ tick")
            for suffix in ["", "-wal", "-shm"] { unlink(test.ledger.path + suffix) }
            try await first.logs("the store does not answer", "has gone")
            #expect(try await test.jobhost("trigger", "slow", "--wait").code == 8)
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            let second = try await test.start()
            try await second.logs("✓ tick")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
        }
    }

    @Test("A job's row deleted behind the host's back: the job appears anew and goes on")
    func rowDeleted() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let host = try await test.start()
            try await host.logs("✓ tick")
            try test.ledger.execute("DELETE FROM job_states WHERE job = 'tick'")
            // What had been claimed ahead still runs; then two more.
            for _ in 0..<4 { try await host.logs("✓ tick", from: host.errors.all.count) }
            #expect(try test.ledger.number("SELECT count(*) FROM job_states WHERE job = 'tick' AND cursor IS NOT NULL") == 1)
        }
    }

    @Test(
        "Disk full: the same, by itself as soon as there is room; as root and as anybody", .enabled(if: Mount.isPossible),
        arguments: [false, true])
    func full(asAnybody: Bool) async throws {
        try await TestHost.with { test in
            let owner = asAnybody ? ",uid=64902,gid=64902" : ""
            let mount = try await Mount(test.folder + "/var", options: "size=16m" + owner)
            let result: Result<Void, any Error>
            do {
                if asAnybody { chown(test.folder, 64_902, 64_902) }
                try await trouble(test, through: asAnybody ? Self.anybody : [], spoil: mount.fill, mend: mount.empty)
                result = .success(())
            } catch { result = .failure(error) }
            await test.killHosts()
            await mount.end()
            try result.get()
        }
    }

    @Test("Read-only while it serves: the same, by itself as soon as it may be written again")
    func readOnlyMeanwhile() async throws {
        try await TestHost.with { test in
            let readOnly = try await ReadOnly(test, folder: test.folder + "/var")
            try await trouble(test, readOnly.environment) { readOnly.set(true) } mend: { readOnly.set(false) }
        }
    }

    @Test(
        "The kernel makes the file system read-only for a fault of the disk: nothing starts, status says so, the host ends when it is asked to; on the repaired disk it goes on by rule",
        .enabled(if: Image.isPossible))
    func faultyDisk() async throws {
        try await TestHost.with { test in
            let image = try await Image(test, at: test.folder + "/var")
            let result: Result<Void, any Error>
            do {
                try await serve(test, on: image)
                result = .success(())
            } catch { result = .failure(error) }
            await test.killHosts()
            await image.end()
            try result.get()
        }
    }

    private func serve(_ test: TestHost, on image: Image) async throws {
        let (beacon, gate) = (try test.beacon(), try test.gate())
        try await test.plugin("slow", PluginSource.waits("finished in the dark"))
        try await test.plugin("good", PluginSource.entry("append(FOLDER \"/ticks\", context->idempotency_key.data, context->idempotency_key.size); return JOB_SUCCEEDED;"))
        try test.config(config, grace: "1s")
        let first = try await test.start()
        try await test.jobhost("trigger", "slow")
        _ = try await beacon.hears("started")
        try await first.logs("✓ tick")

        try image.fail()
        try await first.logs("the store does not answer")
        let status = try await test.jobhost("status")
        #expect(status.output.contains("the store does not answer"), "\(status.output)")
        #expect(try await test.jobhost("trigger", "tick").code == 8)
        try gate.open()
        try await first.logs("✓ slow", "finished in the dark")
        first.signal(SIGTERM)
        try await first.logs("could not be recorded: the store does not answer")
        #expect(await first.exitCode() == 0)

        try await image.repair()
        let second = try await test.start()
        // That it had succeeded was never recorded: by the rule of its job it is not tried again.
        try await second.logs("✗ slow", "lost")
        try await second.logs("✓ tick")
        second.signal(SIGTERM)
        #expect(await second.exitCode() == 0)
        #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
        #expect(try test.ledger.texts("SELECT state || ' ' || outcome || ' ' || attempt FROM runs WHERE job = 'slow'") == ["discarded lost 1"])
        let executed = Proc.text(of: test.folder + "/ticks")?.split(separator: "\n").map(String.init) ?? []
        let claimed = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE job = 'tick' AND attempt > 0")
        #expect(Set(executed).isSubset(of: claimed), "nothing was executed that is not on record")
    }

    @Test("A state folder on a read-only file system: refused at the start in a sentence", .enabled(if: Mount.isPossible))
    func readOnly() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let mount = try await Mount(test.folder + "/var", options: "size=4m,ro")
            let host = try test.launch()
            let code = await host.exitCode()
            await mount.end()
            #expect(code != 0 && code < 10)
            #expect(host.errors.all.contains { $0.contains("Read-only file system") }, "\(host.errors.all)")
        }
    }

    /// A user that nothing else runs as, and whom file modes hold for.
    private static let anybody = ["/usr/bin/setpriv", "--reuid", "64902", "--regid", "64902", "--clear-groups"]

    @Test(
        "A store or a state folder that the user may not write to: refused at the start in a sentence that names it",
        .enabled(if: getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0), arguments: ["the file", "the folder"])
    func notWritable(what: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            chown(test.folder, 64_902, 64_902)
            let first = try await test.start(through: Self.anybody)
            try await first.logs("✓ tick")
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            let path = what == "the file" ? test.ledger.path : test.folder + "/var"
            chown(path, 0, 0)
            chmod(path, what == "the file" ? 0o444 : 0o555)
            let second = try test.launch(through: Self.anybody)
            let code = await second.exitCode()
            #expect(code != 0 && code < 10, "\(code)")
            #expect(second.errors.all.contains { $0.contains(test.folder + "/var") || $0.contains("jobhost.db") }, "\(second.errors.all)")
            chown(path, 64_902, 64_902)
            chmod(path, what == "the file" ? 0o600 : 0o755)
            let third = try await test.start(through: Self.anybody)
            try await third.logs("✓ tick")
            third.signal(SIGTERM)
            #expect(await third.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
        }
    }

    @Test(
        "check by a user who may not write where the state folder is to be: a warning that names both, no fault, and nothing is made",
        .enabled(if: getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0))
    func checkedByAnother() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            chmod(test.folder, 0o755)
            let check = try await test.jobhost(arguments: ["check"], through: Self.anybody)
            #expect(check.code == 0, "\(check.output) \(check.errors)")
            let warning = "state_dir: uid 64902 may not write to \(test.folder), so \(test.folder)/var cannot be made; may the host's user?"
            #expect((check.output + check.errors).contains(warning), "\(check.output) \(check.errors)")
            #expect(!test.exists("var"))
            chown(test.folder, 64_902, 64_902)
            let owned = try await test.jobhost(arguments: ["check"], through: Self.anybody)
            #expect(owned.code == 0 && !(owned.output + owned.errors).contains("state_dir"), "\(owned.output) \(owned.errors)")
        }
    }

    @Test("A result that the store refuses, although it takes others, is kept, told, and recorded when it is taken: nothing waits behind it, and the run is not executed again")
    func refusedResult() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.entry("append(FOLDER \"/done\", context->idempotency_key.data, context->idempotency_key.size); return JOB_SUCCEEDED;"))
            try test.config(Toml.plugin("good") + Toml.job("cursed", of: "good", Toml.once) + Toml.job("tick", of: "good", "every = \"1s\""))
            let host = try await test.start()
            try test.ledger.execute("""
                CREATE TRIGGER curse BEFORE UPDATE ON runs WHEN NEW.job = 'cursed' AND NEW.state = 'succeeded'
                BEGIN SELECT RAISE(ABORT, 'cursed'); END;
                CREATE TRIGGER hex BEFORE INSERT ON audit WHEN NEW.action IN ('reload', 'trigger') BEGIN SELECT RAISE(ABORT, 'hexed'); END
                """)
            #expect(try await test.jobhost("enqueue", "cursed").code == 0)
            try await host.logs("the store refuses to record the end (succeeded) of run", "of cursed", "cursed")
            #expect(try await test.jobhost("reload").code == 0)
            try await host.logs("the store refuses to record the audit of \"reload\"", "hexed")
            // What is only to be written is not done without its audit.
            let runs = try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'cursed'")
            #expect(try await test.jobhost("trigger", "cursed").code != 0)
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'cursed'") == runs)
            let newest = try test.ledger.number("SELECT max(id) FROM runs WHERE state = 'succeeded'")
            while try test.ledger.number("SELECT count(*) FROM runs WHERE id > \(newest) AND state = 'succeeded'") < 2 { try Task.checkCancellation() }
            let status = try await test.jobhost("status")
            #expect(status.output.contains("the store refuses to record the end (succeeded) of run"), "\(status.output)")
            #expect(!status.output.contains("does not answer"), "\(status.output)")
            try test.ledger.execute("DROP TRIGGER curse; DROP TRIGGER hex")
            while try test.ledger.texts("SELECT state FROM runs WHERE job = 'cursed'") != ["succeeded"] { try Task.checkCancellation() }
            while try test.ledger.number("SELECT count(*) FROM audit WHERE action = 'reload'") != 1 { try Task.checkCancellation() }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let done = Proc.text(of: test.folder + "/done")?.split(separator: "\n").map(String.init) ?? []
            #expect(Set(done).count == done.count, "executed twice")
            #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
        }
    }

    @Test("A file that is no store, or another program's, is refused at the start in a sentence and left alone", arguments: ["text", "foreign"])
    func notAStore(kind: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            mkdir(test.folder + "/var", 0o755)
            if kind == "text" {
                try test.write("This is my diary, not a database.\n" + String(repeating: "dear diary\n", count: 1_000), to: "var/jobhost.db")
            } else {
                try test.write("", to: "var/jobhost.db")
                try test.ledger.execute("CREATE TABLE customers (name TEXT)")
            }
            let before = Proc.text(of: test.ledger.path)
            let host = try test.launch()
            #expect(await host.exitCode() == 1)
            #expect(host.errors.all.contains { $0.contains("cannot be opened") }, "\(host.errors.all)")
            #expect(Proc.text(of: test.ledger.path) == before)
        }
    }
}

/// A small file system of its own.
struct Mount {
    let folder: String

    /// Whether this process may mount: root with that capability.
    static let isPossible: Bool = {
        guard getuid() == 0, let status = Proc.text(of: "/proc/self/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let bits = UInt64(line.dropFirst(7).drop { !$0.isHexDigit }, radix: 16)
        else { return false }
        return bits >> 21 & 1 == 1
    }()

    init(_ folder: String, options: String) async throws {
        self.folder = folder
        mkdir(folder, 0o755)
        let mount = try Child("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], environment: [:], folder: "/")
        guard await mount.exitCode() == 0 else { throw TestHost.Failure("mount: \(mount.errors.all)") }
    }

    /// Takes the last byte.
    func fill() throws {
        let file = open(folder + "/ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw TestHost.Failure("cannot make ballast: \(errno)") }
        defer { close(file) }
        let block = [UInt8](repeating: 1, count: 64 << 10)
        while write(file, block, block.count) > 0 {}
        guard errno == ENOSPC else { throw TestHost.Failure("cannot fill: \(errno)") }
    }

    func empty() { unlink(folder + "/ballast") }

    func end() async {
        if let unmount = try? Child("/bin/umount", ["-l", folder], environment: [:], folder: "/") { _ = await unmount.exitCode() }
    }
}
