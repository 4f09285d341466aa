import Glibc
import JobConfig
import Testing

/// `docs/CONFIG.md` says what the reader does.
@Suite struct DocumentationTests {
    private func documentation(_ name: String = "CONFIG") throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return String(decoding: try Machine.system.readFile("/" + root + "/docs/\(name).md", 1 << 20), as: UTF8.self)
    }

    /// The worked examples of docs/MIGRATING.md are configs.
    @Test func everyConfigForThoseWhoComeFromElsewhereIsOne() throws {
        let blocks = try documentation("MIGRATING").split(separator: "```").filter { $0.hasPrefix("toml\n") }
        #expect(blocks.count == 3)
        for block in blocks {
            let text = String(block.dropFirst(5))
            let library = text.split(separator: "library  = \"").last?.prefix { $0 != "\"" } ?? ""
            #expect(findings(text, files: ["/etc/host/\(library)": ""]) == [], "\(text)")
        }
    }

    @Test func everyKeyHasItsRowUnderItsSection() throws {
        var section = ""
        var rows: [String: [String]] = [:]
        for line in try documentation().split(separator: "\n") {
            if line.hasPrefix("### `[") { section = String(line.dropFirst(6).prefix { $0 != "]" }) }
            if line.hasPrefix("| `") { rows[section, default: []].append(String(line)) }
        }
        for key in ConfigKeys.all {
            #expect(rows[key.section]?.contains(key.documentationRow) == true, "[\(key.section)] lacks: \(key.documentationRow)")
        }
        #expect(rows.values.map(\.count).reduce(0, +) == ConfigKeys.all.count, "a row that is no key")
    }

    @Test func everySectionIsSaid() throws {
        let text = try documentation()
        for section in ConfigKeys.sections { #expect(text.contains("`[\(section)")) }
    }

    /// Writing out each default changes nothing: the documented ones are the real ones.
    @Test func everyDocumentedDefaultIsTheRealOne() throws {
        func lines(_ section: String, without left: [String] = []) -> String {
            ConfigKeys.all.filter { $0.section == section && !left.contains($0.name) }
                .compactMap { key in key.defaultLiteral.map { "\(key.name) = \($0)\n" } }.joined()
        }
        func table(_ key: String, _ section: String) -> String {
            "\(key) = { " + lines(section).split(separator: "\n").joined(separator: ", ") + " }\n"
        }
        let plain = job("every = { interval = \"1m\" }") + "[calendars.c]\nsessions = { all = \"00:00-24:00\" }\n"
        let full =
            "[host]\n" + lines("host") + "[store]\n" + lines("store") + "[http]\n" + lines("http") + "[alerts]\n" + lines("alerts")
            + "[plugins.a]\nlibrary = \"libA.so\"\n" + lines("plugins.NAME") + "[jobs.j]\nplugin = \"a\"\nentry = \"e\"\n"
            + lines("jobs.NAME", without: ["timezone"]) + "every = { interval = \"1m\", phase = \"0s\" }\n" + table("catch_up", "jobs.NAME.catch_up")
            + table("retry", "jobs.NAME.retry") + table("breaker", "jobs.NAME.breaker") + table("retention", "jobs.NAME.retention")
            + "health = { " + table("warning", "jobs.NAME.health.warning").dropLast() + ", " + table("critical", "jobs.NAME.health.critical").dropLast()
            + " }\n" + "[calendars.c]\nsessions = { all = \"00:00-24:00\" }\n" + lines("calendars.NAME")
        #expect(findings(full) == [])
        #expect(ConfigDiff.diff(old: try load(plain), new: try load(full)).isEmpty)
        #expect(try load(plain).calendars == load(full).calendars)
        #expect(full.contains("grace = \"30s\"") && full.contains("max_attempts = 4") && full.contains("open_for = \"2m\""))
    }

    /// Both ends of every range are allowed, one step beyond is not.
    @Test func everyRangeIsChecked() {
        for key in ConfigKeys.all where key.section == "jobs.NAME" {
            switch key.kind {
            case .integer(let range):
                for (value, isGood) in [(range.lowerBound, true), (range.upperBound, true), (range.lowerBound - 1, false), (range.upperBound + 1, false)] {
                    #expect(findings(job("\(key.name) = \(value)")).isEmpty == isGood, "\(key.name) = \(value)")
                }
            case .duration(let range, _):
                #expect(findings(job("\(key.name) = \"\(durationText(range.lowerBound))\"")).isEmpty, "\(key.name)")
                #expect(findings(job("\(key.name) = \"\(durationText(range.upperBound))\"")).isEmpty, "\(key.name)")
                #expect(!findings(job("\(key.name) = \"\(durationText(range.upperBound + .microseconds(1)))\"")).isEmpty, "\(key.name)")
            default: break
            }
        }
    }
}
