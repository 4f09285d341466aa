import Glibc
import Testing

/// `jobhost schema` with the real plugins.
@Suite("Tables of jobs, end to end", .timeLimit(.minutes(8))) struct SchemaTests {
    @Test("What is missing is named, made, and then there")
    func appliesAndChecks() async throws {
        try await TestHost.with { test in
            // Without a folder of plugins they are found beside the binary.
            rmdir(test.folder + "/plugins")
            try test.write(
                """
                [plugins.candles]
                library = "libCandles.so"
                settings = { database = "sqlite:exchange.db" }

                [jobs.candles]
                plugin = "candles"
                entry = "candles"
                cron = "0 * * * * *"

                [jobs.candles-1h]
                plugin = "candles"
                entry = "candles"
                cron = "0 0 * * * *"
                settings = { interval = "1h" }
                """, to: "jobs.toml")
            let print = try await test.jobhost("schema", "print", "--dialect", "postgresql")
            #expect(print.code == 0 && print.output.contains("CREATE TABLE candles (\n"), "\(print.output) \(print.errors)")
            #expect(print.output.split(separator: "\n").count { $0.hasPrefix("CREATE TABLE candles ") } == 1)
            let grants = try await test.jobhost("schema", "print", "--dialect", "postgresql", "--grants")
            #expect(grants.output.contains("GRANT SELECT ON pairs TO jobhost_candles;"), "\(grants.output) \(grants.errors)")
            let made = try await test.jobhost("schema", "apply", "candles")
            #expect(made.code == 0 && made.output.contains("table candles"), "\(made.output) \(made.errors)")
            let checked = try await test.jobhost("schema", "check")
            #expect(checked.code == 0 && checked.output.contains("all is well"), "\(checked.output) \(checked.errors)")
            let run = try await test.jobhost("exec", "candles")
            #expect(run.code == 0 && (run.output + run.errors).contains("0 active pairs"), "\(run.output) \(run.errors)")
        }
    }
}
