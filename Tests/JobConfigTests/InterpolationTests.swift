import JobConfig
import JobCore
import Testing

@Suite struct InterpolationTests {
    @Test func theEnvironmentIsPutIntoStrings() throws {
        let environment = ["T": "7s", "EMPTY": "", "NAME": "db"]
        #expect(try loadJob("timeout = \"${T}\"", environment: environment).timeout == .seconds(7))
        #expect(try loadJob("description = \"<${NAME}-${NAME}>\"", environment: environment).description == "<db-db>")
        #expect(try loadJob("description = \"${NO:-x y}\"", environment: environment).description == "x y")
        #expect(try loadJob("description = \"${EMPTY:-x}\"", environment: environment).description == "x")
        #expect(try loadJob("description = \"[${EMPTY}]\"", environment: environment).description == "[]")
        #expect(try loadJob("description = \"$${NAME} $5 $$\"", environment: environment).description == "${NAME} $5 $$")
        #expect(try loadJob("labels = [\"${NAME}\"]", environment: environment).labels == ["db"])
        #expect(try loadJob("description = \"${CONFIG_DIR}/x\"").description == "/etc/host/x")
    }

    /// Paths and names that come from variables may be read by anybody.
    @Test func secretsAreCollectedByWhereTheyComeFromAndWhatTheyAreCalled() throws {
        let text = job("description = \"${API_TOKEN}\"\nsettings = { key = \"file:secrets/key\", url = \"http://u:${DB_PASSWORD}@${HOST}\", n = { k = \"${NO_KEY:-}\" } }")
        let environment = ["DB_PASSWORD": "hunter2!", "HOST": "db.example", "API_TOKEN": "shown anyway"]
        let config = try load(text, files: ["/etc/host/secrets/key": "s3cr3t\n"], environment: environment)
        #expect(config.secrets.texts == ["s3cr3t", "hunter2!"])
    }

    @Test func whatWasPutInIsNotReadAgain() throws {
        #expect(try loadJob("description = \"${A}\"", environment: ["A": "${B}", "B": "no"]).description == "${B}")
    }

    @Test func anUnsetVariableWithoutDefaultIsAFault() {
        #expect(
            findings(job("timeout = \"${TIMOUT}\""), environment: ["TIMEOUT": "1s"])
                .first == "jobs.toml:6:11: the environment variable 'TIMOUT' is not set (did you mean 'TIMEOUT'? a default is written ${TIMOUT:-value})")
    }

    @Test func aValueThatCouldNotBePutInIsOneFault() {
        let lines = "every = \"${EVERY}\"\ntimeout = \"${TIMEOUT}\"\nlabels = [\"${LABEL}\"]\npriority = \"${PRIORITY}\""
        let found = findings(job(lines))
        #expect(found.map { $0.prefix(while: { $0 != " " }) } == ["jobs.toml:6:9:", "jobs.toml:7:11:", "jobs.toml:8:11:", "jobs.toml:9:12:"])
        #expect(found.allSatisfy { $0.contains("is not set") })
    }

    @Test(arguments: ["${", "${}", "${A", "${1A}", "${A:x}", "${A-x}", "${A B}"])
    func brokenReferencesAreRefused(text: String) throws {
        let found = findings("[host]\nname = \"\(text)\"\n", environment: ["A": "a"])
        #expect(found.count == 1)
        #expect(try #require(found.first).hasPrefix("jobs.toml:2:8: '${"))
    }

    @Test func aWrongValueShowsWhatWasWritten() {
        #expect(
            findings(job("concurrency = \"${N}\""), environment: ["N": "3"])
                == [#"jobs.toml:6:15: 'concurrency' must be an integer, 1 … 10000, found the string "3" (written "${N}")"#])
    }

    @Test func aSecretComesTrimmedFromItsFileAndIsNeverPrinted() throws {
        let text = job("settings = { key = \"file:secrets/key\", url = \"http://u:${PW}@h\", plain = \"x\" }")
        let config = try load(text, files: ["/etc/host/secrets/key": " s3cr3t\n\n"], environment: ["PW": "hunter2"])
        let settings = try #require(config.jobs["j"]?.settings)
        #expect(settings.canonicalJSON == #"{"key":"s3cr3t","plain":"x","url":"http://u:hunter2@h"}"#)
        #expect(settings.maskedJSON == #"{"key":"file:secrets/key","plain":"x","url":"http://u:${PW}@h"}"#)
        #expect(settings["key"]?.isSecret == true)
        #expect(settings["plain"]?.isSecret == false)
        var dumped = ""
        dump(config, to: &dumped)
        for printed in ["\(config)", String(reflecting: config), dumped] {
            #expect(printed.contains("file:secrets/key"))
            #expect(!printed.contains("s3cr3t"))
            #expect(!printed.contains("hunter2"))
        }
    }

    @Test func aSecretsFileThatCannotBeReadIsAFault() {
        let text = job("settings = { key = \"file:/run/secrets/key\" }")
        #expect(findings(text) == ["jobs.toml:6:20: cannot read the secret's file /run/secrets/key: no such file or directory"])
        #expect(findings(text, files: ["/run/secrets/key": " \n"]) == ["jobs.toml:6:20: the secret's file /run/secrets/key is empty"])
        #expect(findings(text, files: ["/run/secrets/key": "a\u{0}b"]) == ["jobs.toml:6:20: the secret's file /run/secrets/key is not UTF-8 text"])
    }

    @Test func aSchemasFindingDoesNotShowASecret() throws {
        let schema = try JSONSchema(text: #"{"properties": {"key": {"enum": ["a"]}}}"#)
        let config = try load(job("settings = { key = \"file:k\" }"), files: ["/etc/host/k": "s3cr3t"])
        let job = try #require(config.jobs["j"])
        let found = schema.validate(job.settings, name: "settings of job 'j'", place: job.position)
        #expect(found.map(\.description) == ["jobs.toml:6:20: settings of job 'j': 'key' must be \"a\", found a secret (written \"file:k\")"])
    }

    @Test func statementsKeepTheirFileWithTheFullPath() throws {
        let settings = try loadJob("settings.sql.last_price = \"file:sql/price.sql\"").settings
        #expect(settings.canonicalJSON == #"{"sql":{"last_price":"file:/etc/host/sql/price.sql"}}"#)
        #expect(settings.maskedJSON == settings.canonicalJSON)
    }

    @Test func fileOutsideOfSettingsIsJustText() throws {
        #expect(try loadJob("description = \"file:x\"").description == "file:x")
    }

    @Test func databasesInSettingsGetTheFullPath() throws {
        let settings = try loadJob("settings = { a = \"sqlite:var/x.db\", b = \"sqlite:/x.db\", c = \"sqlite::memory:\" }").settings
        #expect(settings.canonicalJSON == #"{"a":"sqlite:/etc/host/var/x.db","b":"sqlite:/x.db","c":"sqlite::memory:"}"#)
    }

    @Test func aVariableCannotGrowAConfigWithoutEnd() {
        let big = String(repeating: "x", count: 60_000)
        #expect(findings(job("settings = { a = \"${BIG}${BIG}\" }"), environment: ["BIG": big]).count == 1)
        let many = (0..<400).map { "k\($0) = \"${BIG}\"" }.joined(separator: "\n")
        #expect(!findings(job("[jobs.j.settings]\n" + many), environment: ["BIG": big]).isEmpty)
    }
}
