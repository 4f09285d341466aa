import Glibc
import Testing

/// What a newcomer meets: the sample config with the plugins that ship with the host.
@Suite("The sample config, end to end", .timeLimit(.minutes(8))) struct SampleTests {
    /// `places`: where the host's store and the exchange are, if not in files.
    private func sample(_ test: TestHost, on places: (store: String, exchange: String)? = nil) throws {
        let path = TestHost.sources + "/jobs.toml"
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(file, &buffer, buffer.count)
        try #require(count > 0, "cannot read \(path)")
        var text = String(decoding: buffer[..<count], as: UTF8.self)
        if let places {
            text = text.replacing("sqlite:var/exchange.db", with: places.exchange).replacing("sqlite:var/jobhost.db", with: places.store)
                // Others have that port.
                .replacing("listen = \"127.0.0.1:9480\"", with: "")
        }
        try test.write(text, to: "jobs.toml")
        // Without a folder of plugins they are found beside the binary.
        rmdir(test.folder + "/plugins")
    }

    @Test("jobhost check accepts it")
    func isAccepted() async throws {
        try await TestHost.with { test in
            try sample(test)
            let check = try await test.jobhost("check")
            #expect(check.code == 0, "\(check.output) \(check.errors)")
        }
    }

    @Test("The market trades, candles grow, and the margin check finds something to do")
    func works() async throws {
        try await TestHost.with { test in
            try sample(test)
            let host = try await test.start()
            try await host.logs("✓ market", "trades")
            try await host.logs("✓ candles-1m", "candles written")
            try await host.logs("✓ margin-check", "margin call")
            let status = try await test.jobhost("status")
            #expect(status.code == 0 && status.output.contains("margin-check"), "\(status.output)")
        }
    }

    @Test("The same with the exchange and the host's store in PostgreSQL, and the candles there are made of trades that are there", .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
    func worksOnPostgreSQL() async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in
                try server.ledger.execute("CREATE DATABASE exchange")
                let exchange = LedgerFile(path: "", server: server.url.replacing("/postgres", with: "/exchange"))
                try sample(test, on: (server.url, try #require(exchange.server)))
                let host = try await test.start()
                try await host.logs("✓ market", "trades")
                try await host.logs("✓ candles-1m", "candles written")
                try await host.logs("✓ margin-check", "margin call")
                try await host.logs("✓ mint ")
                let there = PostgresServer(folder: server.folder, url: try #require(exchange.server))
                try await there.until("SELECT count(*) > 0 FROM mint_requests WHERE status = 'minted'")
                // After three blocks, one with every tick of the market.
                try await there.until("SELECT count(*) > 0 FROM deposits WHERE status = 'CREDITED' AND credited_ms IS NOT NULL")
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
                // What candles were made of is there.
                let candles = try exchange.number("SELECT sum(trades) FROM candles WHERE interval = '1m'")
                let trades = try exchange.number("SELECT count(*) FROM trades")
                #expect(candles > 0 && candles <= trades, "\(candles) of \(trades)")
                #expect(try server.ledger.faults() == [])
            }
        }
    }

    @Test("A file of trades becomes candles by two commands")
    func replays() async throws {
        try await TestHost.with { test in
            try sample(test)
            try test.write(
                """
                id,ts_ms,side,price,amount
                1,1570752011620,sell,0.00141342,23.00000000
                2,1570752011620,buy,0.00141266,54.00000000
                3,1570752075000,sell,0.00141597,1.50000000

                """, to: "trades.csv")
            let replay = try await test.jobhost("exec", "arena-replay")
            #expect(replay.code == 0, "\(replay.output) \(replay.errors)")
            let candles = try await test.jobhost("exec", "candles-1m")
            #expect(candles.code == 0, "\(candles.output) \(candles.errors)")
            #expect((candles.output + candles.errors).contains("3 new trades"), "\(candles.output) \(candles.errors)")
        }
    }
}
