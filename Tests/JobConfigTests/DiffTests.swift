import JobCore
import Testing

@testable import JobConfig

@Suite struct DiffTests {
    private let base = """
        [host]
        max_workers = 4
        [calendars.c]
        sessions = { all = ["09:00-10:00"] }
        [plugins.a]
        library = "libA.so"
        settings = { x = 1 }
        [jobs.j]
        plugin = "a"
        entry = "e"
        calendar = "c"
        [jobs.k]
        plugin = "a"
        entry = "e"
        every = "10s"

        """

    private func diff(_ text: String) throws -> ConfigDiff { try ConfigDiff.diff(old: load(base), new: load(text)) }

    private func replaced(_ old: String, _ new: String) -> String {
        var out = base
        if let range = out.firstRange(of: old) { out.replaceSubrange(range, with: new) } else { Issue.record("no \(old)") }
        return out
    }

    @Test func aMovedLineIsNoChange() throws {
        let text = replaced("[plugins.a]", "\n# a comment\n\n[plugins.a]")
        let found = try diff(replaced("[host]", "# c\n\n[host]"))
        #expect(found.isEmpty)
        #expect(try diff(text).jobs == ["j": .kept, "k": .kept])
    }

    @Test func aDefaultThatIsWrittenOutIsNoChange() throws {
        #expect(try diff(replaced("every = \"10s\"", "every = { interval = \"10000ms\" }\ntimeout = \"30s\"\npriority = 0")).isEmpty)
    }

    @Test func jobsAreAddedRemovedAndChanged() throws {
        let text = replaced("[jobs.k]", "[jobs.n]") .replacingFirst("entry = \"e\"\ncalendar", "entry = \"f\"\ntimeout = \"1s\"\ncalendar")
        #expect(try diff(text).jobs == ["j": .changed(["entry", "timeout"]), "k": .removed, "n": .added])
    }

    @Test func thePluginsSettingsAreItsJobsToo() throws {
        let found = try diff(replaced("x = 1", "x = 2"))
        #expect(found.jobs == ["j": .changed(["settings"]), "k": .changed(["settings"])])
        #expect(found.plugins == ["a": .changed(["settings"])])
    }

    @Test func aChangedCalendarChangesItsJobs() throws {
        #expect(try diff(replaced("09:00-10:00", "09:00-11:00")).jobs == ["j": .changed(["calendar"]), "k": .kept])
    }

    @Test func aChangedSecretIsAChange() throws {
        let text = job("settings = { k = \"file:k\" }")
        let (old, new) = (try load(text, files: ["/etc/host/k": "1"]), try load(text, files: ["/etc/host/k": "2"]))
        #expect(ConfigDiff.diff(old: old, new: new).jobs == ["j": .changed(["settings"])])
    }

    @Test func aFloatWithOtherDigitsIsAChange() throws {
        #expect(try diff(replaced("x = 1", "x = 1.0")).plugins == ["a": .changed(["settings"])])
    }

    @Test func stateDirAndStoreNeedARestart() throws {
        let found = try diff(replaced("max_workers = 4", "max_workers = 5\nstate_dir = \"other\"") + "[http]\nlisten = \"[::1]:1\"\n")
        #expect(found.restartOnly == ["host.state_dir", "store.url"])
        #expect(found.host == ["host.max_workers", "http.listen"])
        #expect(!found.isEmpty)
    }

    /// A property that is added to a struct and forgotten here would never be reloaded.
    @Test func everyPropertyIsCompared() throws {
        func properties(_ value: Any) -> Set<String> { Set(Mirror(reflecting: value).children.compactMap(\.label)) }
        let config = try load(base)
        let job = try #require(config.jobs["j"])
        let plugin = try #require(config.plugins["a"])
        #expect(Set(JobConfig.comparisons.map(\.property)) == properties(job).subtracting(["name", "position", "places"]))
        #expect(Set(PluginConfig.comparisons.map(\.property)) == properties(plugin).subtracting(["name", "position", "places"]))
        #expect(Set(HTTPSettings.comparisons.map(\.property)) == properties(config.http))
        #expect(Set(HostSettings.comparisons.map(\.property)) == properties(config.host))
        // Secrets are those of what is compared.
        #expect(properties(config) == ["file", "files", "host", "store", "http", "alerts", "calendars", "plugins", "jobs", "secrets"])
        #expect(Set(AlertSettings.comparisons.map(\.property)) == properties(config.alerts))
    }
}

extension String {
    fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
        var out = self
        if let range = out.firstRange(of: old) { out.replaceSubrange(range, with: new) }
        return out
    }
}
