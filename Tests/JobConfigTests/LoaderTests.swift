import Glibc
import JobConfig
import JobCore
import Testing

@Suite struct LoaderTests {
    @Test func theExampleOfTheDesignIsRead() throws {
        let config = try load(
            """
            [host]
            state_dir   = "var"
            include     = ["jobs.d/*.toml"]
            max_workers = 16
            only        = []
            [store]
            url = "sqlite:var/jobhost.db"
            [http]
            listen = "127.0.0.1:9480"
            [defaults]
            timeout = "20s"
            [calendars.nyse]
            timezone = "America/New_York"
            sessions = { mon-fri = ["09:30-16:00"] }
            holidays = [2026-12-25]
            half_days = { "2026-11-27" = "13:00" }
            [plugins.deposits]
            library = "libA.so"
            memory_limit = "256MB"
            recycle = { runs = 10000, age = "6h" }
            env = ["CHAIN_RPC_URL"]
            [plugins.deposits.settings]
            database = "sqlite:var/exchange.db"
            [jobs.deposits-credit]
            plugin = "deposits"
            entry = "credit"
            every = "10s"
            kill_grace = "5s"
            overlap = "skip"
            concurrency = 1
            catch_up = { policy = "latest", window = "1d" }
            calendar = "nyse"
            retry = { max_attempts = 4, initial = "300ms", max = "2s", multiplier = 2.0, jitter = 0.1 }
            breaker = { failures = 5, window = "60s", open_for = "120s", successes = 2 }
            retention = { age = "7d", runs = 1000 }
            settings = { batch = 200 }
            """)
        #expect(config.file == "/etc/host/jobs.toml")
        #expect(config.host.stateDir == "/etc/host/var")
        #expect(config.host.pluginDirs == ["/etc/host/plugins", "/usr/bin"])
        #expect(config.host.name == "testhost")
        #expect(config.host.maxWorkers == 16)
        #expect(config.store.url == "sqlite:/etc/host/var/jobhost.db")
        #expect(config.http.listen == "127.0.0.1:9480")
        let plugin = try #require(config.plugins["deposits"])
        #expect(plugin.library == "/etc/host/plugins/libA.so")
        #expect(plugin.memoryLimit == 256_000_000)
        #expect(plugin.recycle == .init(runs: 10_000, age: .seconds(21_600)))
        #expect(plugin.environment == ["CHAIN_RPC_URL"])
        let job = try #require(config.jobs["deposits-credit"])
        #expect(job.schedule == .every(.seconds(10), phase: .zero))
        #expect(job.timeout == .seconds(20))
        #expect(job.breaker == BreakerPolicy(failures: 5, window: .seconds(60), openFor: .seconds(120), successes: 2))
        #expect(job.retry == RetryPolicy())
        #expect(job.calendar == "nyse")
        #expect(job.settings.canonicalJSON == #"{"batch":200,"database":"sqlite:/etc/host/var/exchange.db"}"#)
        let calendar = try #require(config.calendars["nyse"])
        #expect(calendar.timezone == "America/New_York")
        #expect(calendar.calendar.weekly[0].isEmpty)
        #expect(calendar.calendar.weekly[5] == [.init(open: 34_200, close: 57_600)])
        #expect(calendar.calendar.holidays.map(\.description) == ["2026-12-25"])
        #expect(calendar.calendar.halfDays.map { "\($0.key) \($0.value)" } == ["2026-11-27 closesAt(46800)"])
    }

    @Test func anEmptyFileIsAConfigOfDefaults() throws {
        let config = try load("")
        #expect(config.jobs.isEmpty)
        #expect(config.host == HostSettings(name: "testhost", stateDir: "/etc/host/var", pluginDirs: ["/etc/host/plugins", "/usr/bin"]))
        #expect(config.store.url == "sqlite:/etc/host/var/jobhost.db")
        #expect(config.http.listen == nil)
        #expect(config.files == ["/etc/host/jobs.toml"])
    }

    @Test func aMissingFileIsSaid() {
        let error = #expect(throws: ConfigErrors.self) {
            try ConfigLoader.load(file: "nowhere.toml", environment: [:], zones: FewZones(), machine: machine([:]))
        }
        #expect(error?.errors.map(\.description) == ["cannot read nowhere.toml: no such file or directory"])
    }

    @Test func anUnknownKeyNamesTheNearest() {
        #expect(findings(job("timout = \"5s\"")) == ["jobs.toml:6:1: unknown key 'timout' in [jobs.j] (did you mean 'timeout'?)"])
        #expect(findings("[hosts]\n") == ["jobs.toml:1:2: unknown section [hosts] (did you mean 'host'?)"])
        #expect(findings("max_workers = 3\n").map { $0.prefix(62) } == ["jobs.toml:1:1: unknown key 'max_workers' outside of any sectio"])
        #expect(
            findings(job("retry = { maxattempts = 2 }"))
                == ["jobs.toml:6:11: unknown key 'maxattempts' in 'retry' (did you mean 'max_attempts'?)"])
        #expect(
            findings("[http]\nzzzzzzz = 1\n") == ["jobs.toml:2:1: unknown key 'zzzzzzz' in [http] (allowed: act_token, allowed_origins, listen, outbox, read_token)"])
    }

    @Test(arguments: [
        ("timeout = 30", #"jobs.toml:6:11: 'timeout' must be a duration, 1ms … 366d, or "none", found the integer 30 (write the unit: "30s")"#),
        ("timeout = \"0s\"", #"jobs.toml:6:11: 'timeout' must be a duration, 1ms … 366d, or "none", found the string "0s""#),
        ("timeout = \"5 s\"", #"jobs.toml:6:11: 'timeout' must be a duration, 1ms … 366d, or "none", found the string "5 s" (units: us, ms, s, m, h, d, as in "300ms" or "1h30m")"#),
        ("concurrency = 0", "jobs.toml:6:15: 'concurrency' must be an integer, 1 … 10000, found the integer 0"),
        ("concurrency = 10001", "jobs.toml:6:15: 'concurrency' must be an integer, 1 … 10000, found the integer 10001"),
        ("concurrency = 1.0", "jobs.toml:6:15: 'concurrency' must be an integer, 1 … 10000, found the number 1.0"),
        ("enabled = \"yes\"", "jobs.toml:6:11: 'enabled' must be true or false, found the string \"yes\""),
        ("overlap = \"skipp\"", #"jobs.toml:6:11: 'overlap' must be "skip", "queue" or "allow", found the string "skipp" (did you mean "skip"?)"#),
        ("retry = { jitter = 1.5 }", "jobs.toml:6:20: 'jitter' must be a number, 0 … 1, found the number 1.5"),
        ("retry = { jitter = nan }", "jobs.toml:6:20: 'jitter' must be a number, 0 … 1, found the number nan"),
        ("retry = { initial = \"5s\" }", "jobs.toml:6:21: the first delay of 'retry', 5s, is above its 'max', 2s"),
        ("retry = 3", "jobs.toml:6:9: 'retry' must be a table, found the integer 3"),
        ("breaker = true", "jobs.toml:6:11: 'breaker' must be a table, or `false`, found true"),
        ("labels = [\"a\", 7]", "jobs.toml:6:16: 'labels' must hold strings that are not empty, found the integer 7"),
        ("description = \"\"", "jobs.toml:6:15: 'description' must be a string, 1 … 1000 characters, found the string \"\""),
        ("calendar = \"nyse\"", "jobs.toml:6:12: there is no calendar 'nyse' (there is no [calendars.NAME])"),
        ("timezone = \"UTC\"", "jobs.toml:6:1: 'timezone' has no effect without 'cron' or 'at' (remove it)"),
    ])
    func aWrongValueIsSaidWithPlaceFindingAndWhatIsAllowed(line: String, message: String) {
        #expect(findings(job(line)) == [message])
    }

    @Test func allFindingsComeAtOnceInTheOrderOfTheFile() {
        let text = """
            [jobs.b]
            plugin = "candels"
            entry = "e"
            concurrency = 0
            [jobs.a]
            every = "1x"
            [plugins.candles]
            library = "libCandle.so"
            [host]
            grace = 1
            """
        #expect(
            findings(text) == [
                "jobs.toml:2:10: there is no plugin 'candels' (did you mean 'candles'?)",
                "jobs.toml:4:15: 'concurrency' must be an integer, 1 … 10000, found the integer 0",
                "jobs.toml:5:7: [jobs.a] lacks 'plugin'",
                "jobs.toml:5:7: [jobs.a] lacks 'entry'",
                #"jobs.toml:6:9: 'every' must be a duration, 1ms … 366d, or a table, found the string "1x" (units: us, ms, s, m, h, d, as in "300ms" or "1h30m")"#,
                #"jobs.toml:8:11: there is no library "libCandle.so" in /etc/host/plugins, /usr/bin, /etc/host (did you mean 'libCandles.so'?)"#,
                #"jobs.toml:10:9: 'grace' must be a duration, 0s … 1h, found the integer 1 (write the unit: "1s")"#,
            ])
    }

    @Test("A library is near by what tells it apart, wherever it was looked for", arguments: [
        ("Candles", "libCandles.so"), ("candles.so", "libCandles.so"), ("/etc/host/plugins/libCandle.so", "libCandles.so"), ("libDeposits.so", nil),
    ] as [(String, String?)])
    func nearLibrary(written: String, near: String?) throws {
        let found = findings("[plugins.p]\nlibrary = \"\(written)\"\n")
        #expect(found.count == 1 && found[0].contains("there is no library"))
        let hint = near.map { "did you mean '\($0)'?" } ?? "build it, or add its folder to [host] plugin_dirs"
        #expect(found[0].hasSuffix("(\(hint))"), "\(found)")
    }

    @Test func aSyntaxErrorComesAlone() throws {
        let found = findings("[jobs.x]\nplugin = \"nothing\"\nentry = = 3\n")
        #expect(found.count == 1)
        let first = try #require(found.first)
        #expect(first.hasPrefix("jobs.toml:3:9: not valid TOML: "))
    }

    @Test func aKeyThatIsThereTwiceIsASyntaxError() throws {
        let found = findings(job("timeout = \"1s\"\ntimeout = \"2s\""))
        #expect(found.count == 1)
        #expect(try #require(found.first).hasPrefix("jobs.toml:7:"))
    }

    @Test func aFindingShowsNothingThatATerminalObeys() {
        #expect(
            findings("[http]\n\"a\\u001b[31m\" = 1\n") == [#"jobs.toml:2:1: unknown key 'a\u{1b}[31m' in [http] (allowed: act_token, allowed_origins, listen, outbox, read_token)"#])
    }

    @Test func namesAreFitForPathsAndCommands() {
        let rule = "allowed: up to 64 letters, digits, '-', '_' and '.', the first a letter or digit"
        #expect(findings("[jobs.\"../x\"]\n") == ["jobs.toml:1:7: '../x' is no name (\(rule))"])
        #expect(findings("[plugins.\"\"]\n") == ["jobs.toml:1:10: '' is no name (\(rule))"])
        #expect(findings("[jobs]\nx = 1\n") == ["jobs.toml:2:1: [jobs.x] must be a table, found the integer 1"])
    }

    @Test func storesThatAreNotThereAreRefusedWithoutTheirPassword() {
        #expect(
            findings("[store]\nurl = \"postgresql://u@db/x\"\nlisten_url = \"u:secret@db\"\n")
                == [#"jobs.toml:3:14: 'listen_url' must be a "postgresql://" URL (as in "postgresql://jobhost@db/back")"#])
        #expect(
            findings("[store]\nurl = \"postgresql://u@db/x\"\nschema = \"a b\"\n")
                == [#"jobs.toml:3:10: 'schema' must be a plain name (as in "jobhost")"#])
        #expect(
            findings("[store]\nurl = \"mysql://u:secret@db/x\"\n")
                == [#"jobs.toml:2:7: 'url' must be "sqlite:" and a path or a "postgresql://" URL, found the string "mysql" as its beginning (as in "sqlite:var/jobhost.db")"#])
        #expect(
            findings("[store]\nurl = \"sqlite::memory:\"\n")
                == [#"jobs.toml:2:7: the ledger must outlive the host: 'url' needs a file (as in "sqlite:var/jobhost.db")"#])
    }

    @Test func aPostgreSQLStoreIsTakenAsItIsAndMayStandInAFile() throws {
        let plain = try load("[store]\nurl = \"postgresql://u:secret@db/x?sslmode=require\"\nprepared = false\n").store
        #expect(plain.url == "postgresql://u:secret@db/x?sslmode=require")
        #expect(plain.isPostgreSQL && !plain.prepared && plain.schema == "jobhost" && plain.listenURL == nil)
        #expect(plain.notify)
        #expect(try !load("[store]\nurl = \"postgresql://u@db/x\"\nnotify = false\n").store.notify)
        let files = ["/run/secrets/store": "postgresql://u:secret@db/x\n"]
        #expect(try load("[store]\nurl = \"file:/run/secrets/store\"\n", files: files).store.url == "postgresql://u:secret@db/x")
        #expect(try load("").store.isPostgreSQL == false)
    }

    @Test(arguments: [
        ("127.0.0.1:9480", true), ("[::1]:9480", true), ("localhost:0", true), ("0.0.0.0:65535", false), ("example.org:80", false),
        ("9480", false), (":9480", false), ("localhost:", false), ("localhost:65536", false), ("::1:9480", false),
        ("http://x:1", false), ("a b:1", false), ("[]:1", false), ("x:+1", false),
    ])
    func anAddressToListenOnIsHostAndPort(text: String, isGood: Bool) {
        #expect(findings("[http]\nlisten = \"\(text)\"\n").isEmpty == isGood)
    }

    @Test func ratesAndLabelsOfHosts() throws {
        #expect(try loadJob("rate = { runs = 100 }").rate == RateLimit(runs: 100, per: .seconds(60)))
        #expect(try loadJob("rate = { runs = 5, per = \"1h\" }").rate == RateLimit(runs: 5, per: .seconds(3_600)))
        #expect(try loadJob("").rate == nil)
        #expect(findings(job("rate = { per = \"1m\" }")) == ["jobs.toml:6:8: 'rate' lacks 'runs' (rate = { runs = 100, per = \"1m\" })"])
        #expect(findings(job("rate = { runs = 0 }")).count == 1)
        #expect(findings(job("rate = { runs = 1, per = \"100ms\" }")).count == 1)
        let text = "[host]\nlabels = [\"eu\", \"ssd\"]\n" + job("run_on = [\"us\", \"eu\"]")
        let config = try load(text)
        var host = config.host
        #expect(host.labels == ["eu", "ssd"])
        #expect(config.jobs["j"]?.isServed(by: host) == true)
        host.labels = ["ssd"]
        #expect(config.jobs["j"]?.isServed(by: host) == false)
        host.only = ["j"]
        #expect(config.jobs["j"]?.isServed(by: host) == false)
        (host.only, host.labels) = (["other"], ["eu"])
        #expect(config.jobs["j"]?.isServed(by: host) == false)
        #expect(findings("[host]\nlabels = [\"the eu\"]\n" + job("run_on = [\"a b\"]")).map { $0.prefix { $0 != "(" } } == [
            "jobs.toml:2:11: 'the eu' is no label ", "jobs.toml:8:11: 'a b' is no label ",
        ])
    }

    @Test func onlyMustNameJobsOrLabels() throws {
        let text = "[host]\nonly = [\"j\", \"money\"]\n" + job("labels = [\"money\"]")
        #expect(try load(text).host.only == ["j", "money"])
        #expect(
            findings("[host]\nonly = [\"moneys\"]\n" + job("labels = [\"money\"]"))
                == ["jobs.toml:2:9: 'only' names \"moneys\", which is neither a job nor a label of one (did you mean 'money'?)"])
    }

    @Test func aJobTakesOverTheDefaultsKeyByKey() throws {
        let defaults = "[defaults]\ntimeout = \"9s\"\nretry = { max_attempts = 7, max = \"1m\" }\nevery = \"1h\"\n"
        let plain = try #require(try load(defaults + job("")).jobs["j"])
        #expect(plain.timeout == .seconds(9))
        #expect(plain.schedule == .every(.seconds(3_600), phase: .zero))
        #expect(plain.retry == RetryPolicy(maxAttempts: 7, max: .seconds(60)))
        let own = try #require(try load(defaults + job("timeout = \"none\"\nretry = { max_attempts = 2 }\ncron = \"0 * * * *\"")).jobs["j"])
        #expect(own.timeout == nil)
        #expect(own.retry == RetryPolicy(maxAttempts: 2, max: .seconds(60)))
        #expect(own.schedule == .cron(try CronExpression("0 * * * *"), timeZone: "UTC"))
    }

    @Test func aFaultInTheDefaultsIsSaidOnceHoweverManyJobs() {
        let text = "[defaults]\nretry = { jitter = 2 }\ntimeout = 1\n" + job("") + "[jobs.k]\nplugin = \"a\"\nentry = \"e\"\n"
        #expect(findings(text).map { String($0.prefix(25)) } == ["jobs.toml:2:20: 'jitter' ", "jobs.toml:3:11: 'timeout'"])
        #expect(findings("[defaults]\ntimeout = 1\n").count == 1)
        #expect(findings("[defaults]\nfoo = 1\n").first?.hasPrefix("jobs.toml:2:1: unknown key 'foo' in [defaults]") == true)
    }

    @Test func aBreakerCanBeSwitchedOff() throws {
        #expect(try loadJob("breaker = false").breaker == nil)
        #expect(try loadJob("breaker = { failures = 2 }").breaker == BreakerPolicy(failures: 2))
        #expect(try loadJob("").breaker == BreakerPolicy())
    }

    @Test func settingsOfAJobLieOverThoseOfItsPluginAndTheDefaults() throws {
        let config = try load(
            """
            [defaults.settings]
            a = 1
            d = "default"
            [plugins.a]
            library = "libA.so"
            settings = { a = 2, b = { x = 1, y = 2 }, list = [1, 2] }
            [jobs.j]
            plugin = "a"
            entry = "e"
            settings = { b = { y = 3 }, list = [9] }
            """)
        #expect(config.jobs["j"]?.settings.canonicalJSON == #"{"a":2,"b":{"x":1,"y":3},"d":"default","list":[9]}"#)
    }

    @Test func aStateDirTooLongForItsSocketIsRefused() {
        let longest = "/" + String(repeating: "s", count: HostSettings.longestStateDir - 1)
        #expect(throws: Never.self) { try load("[host]\nstate_dir = \"\(longest)\"\n") }
        let errors = #expect(throws: ConfigErrors.self) { try load("[host]\nstate_dir = \"\(longest)x\"\n") }
        #expect(errors?.errors.first?.description.contains("jobs.toml:2:13: 'state_dir' is \(longest)x, 95 bytes; at most 94 are allowed") == true, "\(String(describing: errors))")
    }

    @Test func relativePathsAreRelativeToTheConfigsFolder() throws {
        let config = try load("[host]\nstate_dir = \"./state\"\nlog_file = \"log/host.log\"\n[store]\nurl = \"sqlite:/abs/x.db\"\n")
        #expect(config.host.stateDir == "/etc/host/state")
        #expect(config.host.logFile == "/etc/host/log/host.log")
        #expect(config.store.url == "sqlite:/abs/x.db")
    }

    @Test func withoutAPluginsFolderTheBinarysIsSearched() throws {
        let bare = Machine(
            readFile: { (_, _) throws(Machine.Fault) in Array("[plugins.p]\nlibrary = \"libP.so\"\n".utf8) }, listFolder: { _ in nil },
            kind: { $0 == "/usr/bin/libP.so" ? .file : nil }, hostName: "h", programFolder: "/usr/bin", currentFolder: "/")
        let config = try ConfigLoader.load(file: "/etc/jobs.toml", environment: [:], zones: FewZones(), machine: bare)
        #expect(config.host.pluginDirs == ["/usr/bin"])
        #expect(config.plugins["p"]?.library == "/usr/bin/libP.so")
    }

    @Test func aFolderOfDropInsThatCannotBeReadTakesNoJobsAway() {
        var closed = machine(["/etc/host/jobs.toml": "[host]\ninclude = [\"jobs.d/*.toml\"]\n"])
        closed.listFolder = { _ in nil }
        let load = { try ConfigLoader.load(file: "jobs.toml", environment: [:], zones: FewZones(), machine: closed) }
        #expect(throws: Never.self) { try load() }
        closed.kind = { $0.hasPrefix("/etc/host/jobs.d") ? .folder : .file }
        let refused = #expect(throws: ConfigErrors.self) {
            try ConfigLoader.load(file: "jobs.toml", environment: [:], zones: FewZones(), machine: closed)
        }
        #expect(refused?.errors.map(\.description).contains { $0.hasPrefix("jobs.toml:2:12: cannot read the folder /etc/host/jobs.d") } == true, "\(String(describing: refused))")
    }

    @Test(
        "What the host cannot read for a fault of its own is said to be that, wherever it stands; what is missing, or refused to it, is the config's",
        arguments: ["/etc/host/jobs.toml", "/etc/host/jobs.d/a.toml", "/etc/host/jobs.d", "/etc/host/token", "/etc/host/secret"])
    func faultsOfTheHost(path: String) throws {
        let main = "[host]\ninclude = [\"jobs.d/*.toml\"]\n[http]\nlisten = \"127.0.0.1:0\"\nact_token = \"file:token\"\n"
        let files = [
            "/etc/host/jobs.toml": main + "[plugins.a]\nlibrary = \"libA.so\"\nsettings = { key = \"file:secret\" }\n",
            "/etc/host/jobs.d/a.toml": "[jobs.j]\nplugin = \"a\"\nentry = \"e\"\n",
            "/etc/host/token": "0123456789abcdef0123456789abcdef\n", "/etc/host/secret": "s3cret\n",
        ]
        func errors(_ fault: Machine.Fault) -> ConfigErrors? {
            let sound = machine(files)
            var faulty = sound
            faulty.readFile = { (asked, limit) throws(Machine.Fault) in
                if asked == path { throw fault }
                return try sound.readFile(asked, limit)
            }
            faulty.listFolder = { (asked) throws(Machine.Fault) in
                if asked.hasPrefix(path), asked.count <= path.count + 1 { throw fault }
                return try sound.listFolder(asked)
            }
            do {
                _ = try ConfigLoader.load(file: "jobs.toml", environment: [:], zones: FewZones(), machine: faulty)
                return nil
            } catch { return error }
        }
        for code in [EMFILE, ENFILE, ENOMEM, EINTR, EIO] {
            let found = try #require(errors(Machine.Fault(code: code)))
            #expect(found.isOfHost && found.description.contains("the host's own fault"), "\(found)")
        }
        for code in [ENOENT, EACCES, ELOOP] {
            let found = try #require(errors(Machine.Fault(code: code)))
            #expect(!found.isOfHost && !found.description.contains("the host's own fault"), "\(found)")
        }
    }

    @Test("A zone whose file the host cannot read for a fault of its own is not said to be unknown")
    func unreadableZone() throws {
        struct Short: ZoneSource {
            func zone(named name: String) throws(ZoneError) -> Zone { throw .unreadable(name: name, reason: "too many open files") }
        }
        let errors = #expect(throws: ConfigErrors.self) {
            try ConfigLoader.load(
                file: "jobs.toml", environment: [:], zones: Short(),
                machine: machine(["/etc/host/jobs.toml": job("cron = \"0 8 * * *\"\ntimezone = \"Europe/Berlin\"")]))
        }
        #expect(errors?.isOfHost == true, "\(String(describing: errors))")
    }

    @Test func placesOfKeysAreKeptForLaterMessages() throws {
        let job = try loadJob("concurrency = 2\nretry = { initial = \"1s\" }")
        #expect(job.place(of: "concurrency").description == "jobs.toml:6:15")
        #expect(job.place(of: "retry.initial").description == "jobs.toml:7:21")
        #expect(job.place(of: "overlap").description == "jobs.toml:3:7")
    }

    @Test func aSectionMustBeATable() {
        #expect(findings("host = 1\njobs = \"x\"\n").map { String($0.prefix(40)) } == ["jobs.toml:1:1: 'host' must be a table, fo", "jobs.toml:2:1: 'jobs' must be a table, fo"].map { String($0.prefix(40)) })
        #expect(findings("[[jobs]]\nplugin = \"a\"\n").count == 1)
    }

    @Test func aFloodOfFindingsIsCut() {
        let text = "[host]\n" + (0..<500).map { "x\($0)x = 1\n" }.joined()
        let found = findings(text)
        #expect(found.count == 201)
        #expect(found.last == "… and 300 more")
    }

    @Test func tenThousandJobsAreRead() throws {
        let jobs = (0..<10_000).map { "[jobs.j\($0)]\nplugin = \"a\"\nentry = \"e\"\nevery = \"\($0 + 1)s\"\n" }.joined()
        #expect(try load("[plugins.a]\nlibrary = \"libA.so\"\n" + jobs).jobs.count == 10_000)
        #expect(findings("[plugins.a]\nlibrary = \"libA.so\"\n" + jobs + "[jobs.one-more]\n").last == "jobs.toml:40003:7: more than 10000 names in [jobs]")
    }

    @Test func minWorkersStayBelowMaxWorkers() {
        #expect(
            findings("[plugins.a]\nlibrary = \"libA.so\"\nmin_workers = 3\nmax_workers = 2\n")
                == ["jobs.toml:3:15: 'min_workers' 3 is above 'max_workers' 2"])
    }
}
