import JobConfig
import Testing

@Suite struct TreeTests {
    private func table(_ text: String) throws -> ConfigTable { try parseTOML(Array(text.utf8), file: "f") }

    @Test(arguments: [
        ("a = \"x\nb = 1\n", "f:1:7"), ("a = 1\nb = \"x\r\nc = 1\n", "f:2:7"), ("a = 'x\n", "f:1:7"), ("a = \"x", "f:1:7"),
        ("a = \"\"\"x\n\ny\n", "f:3:3"), ("a = '''x", "f:1:9"), ("a = \"é", "f:1:7"),
    ])
    func anUnclosedStringIsCalledThat(_ text: String, _ place: String) {
        let error = #expect(throws: ConfigError.self) { try parseTOML(Array(text.utf8), file: "f") }
        #expect(error?.message == "not valid TOML: a string is not closed", "\(text): \(error?.description ?? "")")
        #expect(error?.position?.description == place, "\(text)")
    }

    @Test func aControlCharacterInAStringIsNoUnclosedOne() {
        let error = #expect(throws: ConfigError.self) { try parseTOML(Array("a = \"x\u{1}y\"\n".utf8), file: "f") }
        #expect(error?.message.contains("control characters") == true)
    }

    @Test func everyKeyAndValueHasItsPlace() throws {
        let root = try table("a = 1\n[t]\n  b.c = \"é\" # x\n  d = [ 1,\n   2 ]\n[[list]]\nx = { y = 3.5 }\n")
        #expect(root.keyPosition("a")?.description == "f:1:1")
        #expect(root["a"]?.position.description == "f:1:5")
        #expect(root.keyPosition("t")?.description == "f:2:2")
        let t = try #require(root["t"]?.tableForTest)
        #expect(t.keyPosition("b")?.description == "f:3:3")
        #expect(t["b"]?.tableForTest?.keyPosition("c")?.description == "f:3:5")
        #expect(t["b"]?.tableForTest?["c"]?.position.description == "f:3:9")
        guard case .array(let d)? = t["d"]?.content, case .array(let list)? = root["list"]?.content else { Issue.record("no arrays"); return }
        #expect(d.map(\.position.description) == ["f:4:9", "f:5:4"])
        #expect(list[0].tableForTest?["x"]?.tableForTest?["y"]?.position.description == "f:7:11")
    }

    @Test func floatsKeepTheDigitsOfTheSource() throws {
        let text = "\"é\" = { \"ü\" = 0.10, x = 1_000.50 }\na = +1.0\nb = -0.0\nc = 6.626e-34\nd = 5e+22\ne = [1.10, 2.20]\nf = 0.10000000000000000000000001 # 9.9\n"
        #expect(
            try table(text).canonicalJSON
                == #"{"a":1.0,"b":-0.0,"c":6.626e-34,"d":5e+22,"e":[1.10,2.20],"f":0.10000000000000000000000001,"é":{"x":1000.50,"ü":0.10}}"#)
        #expect(try table("\u{FEFF}a = 1.50\nb = 2.50").canonicalJSON == #"{"a":1.50,"b":2.50}"#)
        #expect(try table("a = 1.50\r\nb = 2.50\r\n").canonicalJSON == #"{"a":1.50,"b":2.50}"#)
    }

    @Test func integersAndDatesHaveOneForm() throws {
        let text = "a = 0xff\nb = 1_000\nc = -9223372036854775808\nd = 1979-05-27T07:32:00.5-07:00\ne = 1979-05-27 07:32:00Z\nf = 1979-05-27T07:32:00\ng = 1979-05-27\nh = 07:32:00\ni = 0o17\nj = 0b11\n"
        #expect(
            try table(text).canonicalJSON
                == #"{"a":255,"b":1000,"c":-9223372036854775808,"d":"1979-05-27T07:32:00.5-07:00","e":"1979-05-27T07:32:00Z","f":"1979-05-27T07:32:00","g":"1979-05-27","h":"07:32:00","i":15,"j":3}"#)
    }

    @Test func placesDoNotCountForEquality() throws {
        #expect(try table("a = 1\nb = { c = [1.0] }") == table("\n\n[b]\nc = [ 1.0 ]\n").with("a", try table("a = 1")))
        #expect(try table("a = 1") != table("a = 2"))
        #expect(try table("a = 1") != table("a = 1.0"))
        #expect(try table("a = 1") != table("b = 1"))
    }

    @Test func aSyntaxErrorHasItsPlace() {
        let error = #expect(throws: ConfigError.self) { try parseTOML(Array("a = 1\nb = \"x\n".utf8), file: "f") }
        #expect(error?.position?.line == 2)
        #expect(error?.message.hasPrefix("not valid TOML: ") == true)
    }

    /// Texts on which toml++ 3.3 by itself aborts or runs into undefined behaviour.
    @Test(arguments: [
        ("é = 1", "f:1:1"), ("a = [}", "f:1:6"), ("a = [1, ]]", "f:1:10"), ("a.é = 1", "f:1:3"), ("a = { é = 1 }", "f:1:7"), ("a = 1979-é", "f:1:10"),
    ])
    func whatTheParserBelievesImpossibleIsAFaultWithItsPlace(text: String, place: String) {
        let error = #expect(throws: ConfigError.self) { try table(text) }
        #expect(error?.position?.description == place)
        #expect(error?.message.contains("parser") == false)
    }

    @Test func aLineEndedByABackslashMayGoOnWithAnyLetter() throws {
        #expect(try table("s = \"\"\"\\\n§\"\"\"\n").canonicalJSON == #"{"s":"§"}"#)
    }

    @Test func depthIsBounded() throws {
        func nested(_ depth: Int) -> String { "a = " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(throws: Never.self) { try table(nested(60)) }
        #expect(throws: ConfigError.self) { try table(nested(100)) }
        #expect(throws: ConfigError.self) { try table(nested(100_000)) }
        let keys = Array(repeating: "a", count: 33).joined(separator: ".")
        let error = #expect(throws: ConfigError.self) { try table("x = \"y.\" # ....\n" + keys + " = 1") }
        #expect(error?.description == "f:2:64: not valid TOML: a dotted key has more than 32 parts")
        #expect(throws: ConfigError.self) { try table(Array(repeating: "a", count: 500_000).joined(separator: ".") + " = 1") }
        #expect(throws: ConfigError.self) { try table("[" + Array(repeating: "a", count: 500_000).joined(separator: ".") + "]") }
        let dots = Array(repeating: "a", count: 30).joined(separator: ".")
        let chain = String(repeating: "{\(dots) = ", count: 4)
        #expect(throws: ConfigError.self) { try table("x = " + chain + "1" + String(repeating: "}", count: 4)) }
        #expect(try table("x = \"" + String(repeating: ".", count: 100) + "\"\ny = '''\n" + String(repeating: ".", count: 100) + "'''").entries.count == 2)
    }

    @Test func lengthIsBounded() {
        let error = #expect(throws: ConfigError.self) { try parseTOML([UInt8](repeating: 0x0A, count: 4 << 20 + 1), file: "f") }
        #expect(error?.description == "f:1:1: not valid TOML: the text is longer than 4 MiB")
    }

    @Test func zeroBytesAreRefused() {
        #expect(throws: ConfigError.self) { try table("a = \"x\\u0000y\"") }
        #expect(throws: ConfigError.self) { try table("\"x\\u0000y\" = 1") }
        #expect(throws: ConfigError.self) { try table("a = 1\u{0}") }
    }
}

extension ConfigValue {
    fileprivate var tableForTest: ConfigTable? { if case .table(let table) = content { table } else { nil } }
}

extension ConfigTable {
    fileprivate func with(_ key: String, _ other: ConfigTable) -> ConfigTable {
        var out = self
        out.entries[key] = other.entries[key]
        return out
    }
}
