import JobConfig
import Testing

/// Whatever stands in a config: a value or findings, never a trap.
@Suite struct NoiseTests {
    private static let config = """
        [host]
        include = ["jobs.d/*.toml"]
        max_workers = 16
        only = ["k"]
        [http]
        listen = "127.0.0.1:9480"
        [defaults]
        timeout = "20s"
        retry = { max_attempts = 4, initial = "300ms", max = "2s", multiplier = 2.0, jitter = 0.1 }
        [calendars.c]
        timezone = "Europe/Berlin"
        sessions = { mon-fri = ["09:30-16:00"], sat = "18:00-17:00" }
        holidays = [2026-12-25]
        half_days = { "2026-11-27" = "13:00" }
        [plugins.a]
        library = "libA.so"
        memory_limit = "256MB"
        recycle = { runs = 10000, age = "6h" }
        env = ["A"]
        [plugins.a.settings]
        database = "sqlite:var/exchange.db"
        key = "${A:-x}"
        [jobs.j]
        plugin = "a"
        entry = "e"
        every = { interval = "10s", phase = "1s" }
        calendar = "c"
        breaker = { failures = 5, window = "60s" }
        settings = { batch = 200, rate = 1.50, at = 2026-01-01T00:00:00Z }
        [jobs.k]
        plugin = "a"
        entry = "e"
        cron = "0 */5 * * MON-FRI"
        timezone = "Europe/Berlin"
        [jobs.l]
        plugin = "a"
        entry = "e"
        after = "k"

        """

    @Test func theUnchangedConfigIsGood() {
        #expect(findings(Self.config) == [])
    }

    @Test(arguments: 0..<8)
    func aConfigWithAFewChangedBytesIsReadOrRefused(seed: UInt64) {
        var numbers = SeededNumbers(seed: seed)
        let good = Array(Self.config.utf8)
        let alphabet = Array("[]{}=\".,'#\\\n$:-_ 0123456789aekmsnxy*/".utf8)
        var refused = 0
        for _ in 0..<500 {
            var bytes = good
            for _ in 0...Int.random(in: 0..<3, using: &numbers) {
                let at = Int.random(in: 0..<bytes.count, using: &numbers)
                switch Int.random(in: 0..<5, using: &numbers) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &numbers)
                case 1: bytes.remove(at: at)
                case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1..<40, using: &numbers)))
                case 3: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 60)], at: Int.random(in: 0..<bytes.count, using: &numbers))
                default: bytes.insert(alphabet.randomElement(using: &numbers) ?? 0, at: at)
                }
            }
            refused += isRefused(bytes) ? 1 : 0
        }
        #expect(refused > 100)
        #expect(refused < 500)
    }

    @Test(arguments: 0..<4)
    func noiseIsRefused(seed: UInt64) {
        var numbers = SeededNumbers(seed: 100 + seed)
        let alphabet = Array("[]{}=\".,'#\\\n\r\t$:-+_ 0123456789abcdefjobshtuxT".utf8)
        var refused = 0
        for round in 0..<1_000 {
            let bytes = (0..<Int.random(in: 1..<60, using: &numbers)).map { _ in
                round % 2 == 0 ? UInt8.random(in: 0...255, using: &numbers) : alphabet.randomElement(using: &numbers) ?? 0
            }
            refused += isRefused(bytes) ? 1 : 0
        }
        #expect(refused > 900)
    }

    /// Whether the loader refuses these bytes; each finding must have a text.
    private func isRefused(_ bytes: [UInt8]) -> Bool {
        let base = machine([:])
        var changed = base
        changed.readFile = { (path, limit) throws(Machine.Fault) in
            path == "/etc/host/jobs.toml" ? bytes : try base.readFile(path, limit)
        }
        do {
            _ = try ConfigLoader.load(file: "jobs.toml", environment: ["A": "a"], zones: FewZones(), machine: changed)
            return false
        } catch {
            #expect(!error.errors.isEmpty)
            #expect(error.errors.allSatisfy { !$0.message.isEmpty })
            return true
        }
    }
}
