import JobConfig
import JobCore
import Testing

@Suite struct DropInTests {
    private let main = "[host]\ninclude = [\"jobs.d/*.toml\"]\n[plugins.a]\nlibrary = \"libA.so\"\n"
    private let job = "[jobs.%]\nplugin = \"a\"\nentry = \"e\"\n"

    @Test func dropInsAreReadInTheOrderOfTheirNames() throws {
        let config = try load(
            main,
            files: [
                "/etc/host/jobs.d/20.toml": "[jobs.two]\nplugin = \"a\"\nentry = \"e\"\n",
                "/etc/host/jobs.d/10.toml": "[jobs.one]\nplugin = \"a\"\nentry = \"e\"\n[calendars.c]\nsessions = { all = [\"00:00-24:00\"] }\n",
                "/etc/host/jobs.d/.hidden.toml": "[jobs.three]\n",
                "/etc/host/jobs.d/old.toml.bak": "[jobs.four]\n",
            ])
        #expect(config.jobs.keys.sorted() == ["one", "two"])
        #expect(config.calendars.keys.sorted() == ["c"])
        #expect(config.files == ["/etc/host/jobs.toml", "/etc/host/jobs.d/10.toml", "/etc/host/jobs.d/20.toml"])
        #expect(config.jobs["two"]?.position.description == "jobs.d/20.toml:1:7")
    }

    @Test func aNameInTwoFilesIsRefusedWithBothPlaces() {
        let found = findings(
            main + "[jobs.x]\nplugin = \"a\"\nentry = \"e\"\n",
            files: ["/etc/host/jobs.d/x.toml": "[jobs.x]\nplugin = \"a\"\nentry = \"e\"\n"])
        #expect(found == ["jobs.d/x.toml:1:7: [jobs.x] is there twice, first at jobs.toml:5:7"])
    }

    @Test func theHostsOwnSectionsStandInTheMainFile() {
        let found = findings(main, files: ["/etc/host/jobs.d/x.toml": "[host]\nmax_workers = 1\n[jops.x]\n"])
        #expect(
            found == [
                "jobs.d/x.toml:1:2: [host] stands in the main file only (allowed here: calendars, plugins, jobs)",
                "jobs.d/x.toml:3:2: unknown section [jops] (did you mean 'jobs'?)",
            ])
    }

    @Test func findingsFollowTheOrderOfTheFiles() {
        let found = findings(
            main + "[jobs.m]\nplugin = \"a\"\nentry = \"e\"\npriority = 5000\n",
            files: [
                "/etc/host/jobs.d/b.toml": "[jobs.b]\nplugin = \"a\"\nentry = 1\n",
                "/etc/host/jobs.d/a.toml": "[jobs.a]\nplugin = \"a\"\nentry = 1\n",
            ])
        #expect(found.map { String($0.prefix(while: { $0 != " " })) } == ["jobs.toml:8:12:", "jobs.d/a.toml:3:9:", "jobs.d/b.toml:3:9:"])
    }

    @Test func syntaxErrorsOfDropInsComeAlone() {
        let found = findings(
            main + "[jobs.m]\n",
            files: ["/etc/host/jobs.d/a.toml": "x = \n", "/etc/host/jobs.d/b.toml": "[jobs.b]\n", "/etc/host/jobs.d/c.toml": "[\n"])
        #expect(found.map { String($0.prefix(15)) } == ["jobs.d/a.toml:1", "jobs.d/c.toml:1"])
    }

    @Test func aPatternWithoutFilesIsFineAMissingNameIsNot() {
        #expect(findings("[host]\ninclude = [\"none.d/*.toml\"]\n").isEmpty)
        #expect(
            findings("[host]\ninclude = [\"extra.toml\"]\n")
                == ["jobs.toml:2:12: cannot read extra.toml: no such file or directory"])
        #expect(
            findings("[host]\ninclude = [\"*/x.toml\"]\n")
                == ["jobs.toml:2:12: 'include' takes '*' and '?' only in the last part of a path, found \"*/x.toml\""])
    }

    @Test func aFileThatTwoPatternsNameIsReadOnce() throws {
        let config = try load(
            "[host]\ninclude = [\"jobs.d/*.toml\", \"jobs.d/a.toml\", \"jobs.toml\"]\n[plugins.a]\nlibrary = \"libA.so\"\n",
            files: ["/etc/host/jobs.d/a.toml": "[jobs.x]\nplugin = \"a\"\nentry = \"e\"\n"])
        #expect(config.jobs.count == 1)
    }

    @Test func messagesNameFilesAsTheMainFileWasNamed() {
        let files = ["/etc/host/jobs.toml": main, "/etc/host/jobs.d/a.toml": "[jobs.a]\n"]
        let error = #expect(throws: ConfigErrors.self) {
            try ConfigLoader.load(file: "/etc/host/jobs.toml", environment: [:], zones: FewZones(), machine: machine(files))
        }
        #expect(error?.errors.first?.description == "/etc/host/jobs.d/a.toml:1:7: [jobs.a] lacks 'plugin'")
    }
}
