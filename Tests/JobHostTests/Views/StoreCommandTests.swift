import Glibc
import JobCore
import JobJSON
import JobStore
import Synchronization
import Testing

@testable import JobHost

struct StoreCommandTests {
    @Test func migrateSaysWhatMovedAndWhere() async {
        let spoken = await speak(["store", "migrate", "--from", "sqlite:var/jobhost.db", "--config", "jobs.toml"], files: ["jobs.toml"])
        #expect(spoken.code == 0, "\(spoken.errors)")
        #expect(spoken.out == "runs: 5 rows\nthe store is now the config's; start the host\n")
        let wrong = await speak(["store", "migrate", "--from", "var/jobhost.db", "--config", "jobs.toml"], files: ["jobs.toml"])
        #expect(wrong.code == 2)
        #expect(wrong.errors.contains("--from must be \"sqlite:\" and a path"))
    }

    // MARK: check

    private static let sound = StoreCheck.Finding("due times", .ok, "each due time has at most one run")
    private static let broken = StoreCheck.Finding("fences", .fail, "no two runs have one fence", count: 7, examples: ["fence 3", "fence 4"])
    private static let loose = StoreCheck.Finding("autovacuum", .warn, "the hot tables are small", count: 1, examples: ["autovacuum is off"])

    private func check(_ findings: [StoreCheck.Finding], _ more: String...) async -> Spoken {
        await speak(["store", "check", "-c", "x.toml"] + more, operations: .fake(store: .fake(findings: findings)))
    }

    @Test func checkHasALineForEachRuleAndFailsOnABrokenOneOnly() async throws {
        let well = await check([Self.sound])
        #expect(well.code == 0)
        #expect(well.out == "var/jobhost.db  served by pid 4711\n✓  due times  each due time has at most one run\n\nall 1 rule hold\n")
        let warned = await check([Self.sound, Self.loose])
        #expect(warned.code == 0 && warned.out.hasSuffix("\nno rule is broken, 1 warning\n"))
        let bad = await check([Self.sound, Self.broken, Self.loose])
        #expect(bad.code == 1)
        #expect(bad.errors.isEmpty)
        #expect(bad.out.contains("\n✗  fences      7 × not so: no two runs have one fence: fence 3; fence 4; and 5 more\n"), "\(bad.out)")
        #expect(bad.out.hasSuffix("\n1 of 3 rules broken, 1 warning\n"))
    }

    @Test func checkAsJSONHasCountAndExamples() async throws {
        let spoken = await check([Self.broken], "--json")
        #expect(spoken.code == 1)
        #expect(
            try JSON(parsing: spoken.out).canonicalText
                == #"{"findings":[{"count":7,"examples":["fence 3","fence 4"],"level":"fail","rule":"fences","sentence":"no two runs have one fence"}],"format":5,"host_pid":4711,"level":"fail","place":"var/jobhost.db"}"#)
    }

    // MARK: prune

    private static var pruned: StorePrune.Report {
        var report = StorePrune.Report()
        var share = StorePrune.Share(job: "candles")
        (share.runs, share.attempts, share.ranges) = (1_200, 3, 2)
        (share.oldest, share.newest) = (Instant(seconds: 1_764_547_200), Instant(seconds: 1_764_550_800))
        report.shares = [share]
        report.elsewhere = 4
        report.unruled = ["gone": 9]
        report.freeBytes = 12 << 20
        return report
    }

    @Test func pruneSaysWhatGoesAndWhatNeverDoes() async throws {
        let asked = Mutex<[StorePruneRequest]>([])
        let operations = HostOperations.fake(store: .fake(pruned: Self.pruned, asked: { request in asked.withLock { $0.append(request) } }))
        let dry = await speak(["store", "prune", "-c", "x.toml", "--dry-run", "--older-than", "30d", "--job", "candles"], operations: operations)
        #expect(dry.code == 0, "\(dry.errors)")
        #expect(dry.out == """
            JOB      RUNS  ATTEMPTS  RANGES  ENDED
            candles  1200         3       2  2025-12-01 00:00:00Z … 01:00:00Z
            1200 runs and 2 ranges would be deleted
            4 runs of other living hosts left to them, which have the logs
            kept, since the config has no such job: 9 of gone; --older-than deletes them too
            12 MB of the file are free for new rows; it does not shrink (VACUUM, with the host stopped, makes it)
            never deleted: what waits or runs, counters, cursors, breakers, operators' decisions, jobs' states, the newest 100000 entries of the audit

            """)
        let done = await speak(["store", "prune", "-c", "x.toml"], operations: operations)
        #expect(done.out.contains("\n1200 runs and 2 ranges deleted\n"))
        #expect(asked.withLock { $0 } == [
            StorePruneRequest(config: "x.toml", job: "candles", olderThan: .seconds(30 * 86_400), isDryRun: true), StorePruneRequest(config: "x.toml"),
        ])
        let json = await speak(["store", "prune", "-c", "x.toml", "--json"], operations: operations)
        #expect(try JSON(parsing: json.out)["jobs"]?.arrayValue?.first?["oldest"] == "2025-12-01T00:00:00Z")
        #expect(await speak(["store", "prune", "-c", "x.toml"]).out.hasPrefix("nothing is old enough\n"))
        for bad in ["0s", "soon"] { #expect(await speak(["store", "prune", "-c", "x.toml", "--older-than", bad]).code == 2) }
    }

    // MARK: export

    @Test func exportHandsOverWhatIsAskedFor() async throws {
        let asked = Mutex<[String]>([])
        let operations = HostOperations.fake(store: .fake(chunks: ["one\n", "two\n"], exported: { source, request in
            asked.withLock { $0.append("\(source) \(request.tables.map(\.rawValue)) \(request.format) \(request.jobs) \(request.since?.rfc3339 ?? "-") \(request.until?.rfc3339 ?? "-")") }
        }))
        let all = await speak(["store", "export", "-c", "x.toml"], operations: operations)
        #expect(all.code == 0, "\(all.errors)")
        #expect(all.out == "one\ntwo\n" && all.errors.isEmpty)
        _ = await speak(
            ["store", "export", "--store", "sqlite:copy.db", "--format", "csv", "--job", "a", "--job", "b", "--since", "2026-01-01", "--until", "1h ago"],
            operations: operations)
        _ = await speak(["store", "export", "-c", "x.toml", "--table", "audit, jobs"], operations: operations)
        #expect(asked.withLock { $0 } == [
            #"config("x.toml") ["runs", "attempts", "ranges", "jobs", "breakers", "states", "counters", "audit"] jsonl [] - -"#,
            #"url("sqlite:copy.db", schema: "jobhost") ["runs"] csv ["a", "b"] 2026-01-01T00:00:00Z 2026-05-04T09:00:00Z"#,
            #"config("x.toml") ["audit", "jobs"] jsonl [] - -"#,
        ])
        let wrong: [([String], String)] = [
            (["--format", "xml"], "--format is jsonl or csv, not 'xml'"), (["--table", "run"], "there is no table 'run'\n  there are: runs, "),
            (["--format", "csv", "--table", "runs,audit"], "CSV holds one table"), (["--force"], "--force is for the file of --output"),
            (["--since", "then"], "--since is not a time: 'then'"), (["--table", ","], "--table names none"),
        ]
        for (arguments, said) in wrong {
            let spoken = await speak(["store", "export", "-c", "x.toml"] + arguments, operations: operations)
            #expect(spoken.code == 2 && spoken.errors.hasPrefix(said), "\(spoken.errors)")
        }
    }

    @Test func anExportedFileIsWholeOrNotThere() async throws {
        let folder = try TestFolder()
        let path = folder.path + "/runs.jsonl"
        func export(_ chunks: [String], _ more: String..., interruption: (@Sendable () async -> Void)? = nil) async -> Spoken {
            await speak(
                ["store", "export", "-c", "x.toml", "--table", "runs", "--output", path] + more,
                operations: .fake(store: .fake(chunks: chunks)), interruption: interruption)
        }
        let written = await export(["one\n", "two\n"])
        #expect(written.code == 0, "\(written.errors)")
        #expect(written.out == "runs: 2 rows\nwritten to \(path)\n")
        #expect(try Files.read(path) == "one\ntwo\n")
        var found = stat()
        #expect(stat(path, &found) == 0 && found.st_mode & 0o777 == 0o600)
        let again = await export(["three\n"])
        #expect(again.code == 6)
        #expect(again.errors == "\(path) is there already\n  --force replaces it\n")
        let forced = await export(["three\n"], "--force", "--json")
        #expect(try JSON(parsing: forced.out).canonicalText == #"{"file":"\#(path)","tables":[{"rows":2,"table":"runs"}]}"#)
        #expect(try Files.read(path) == "three\n")

        // Stopped before its end, it leaves what was there, and nothing else.
        let (raised, raise) = AsyncStream.makeStream(of: Void.self)
        let operations = HostOperations.fake(store: StoreOperations(
            move: StoreOperations.fake().move, check: StoreOperations.fake().check, prune: StoreOperations.fake().prune,
            export: { _, _, write in
                raise.finish()
                while true {
                    try write(Array("more\n".utf8))
                    await Task.yield()
                }
            }))
        let stopped = await speak(
            ["store", "export", "-c", "x.toml", "--output", path, "--force"], operations: operations, interruption: { for await _ in raised {} })
        #expect(stopped.code == 1 && stopped.errors == "stopped before its end\n")
        #expect(try Files.read(path) == "three\n")
        #expect(try Files.names(folder.path) == ["runs.jsonl"])
        let nowhere = await speak(["store", "export", "-c", "x.toml", "--output", folder.path + "/none/x"], operations: operations)
        #expect(nowhere.code == 1 && nowhere.errors.contains("No such file or directory"))
        let device = await speak(["store", "export", "-c", "x.toml", "--output", "/dev/null", "--force"], operations: operations)
        #expect(device.code == 2 && device.errors == "/dev/null is there, and is no file\n")
    }
}
