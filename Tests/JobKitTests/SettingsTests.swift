import Testing

@testable import JobKit

private enum Mode: String, Codable, CaseIterable { case off, shadow, live }

private struct Limits: Codable {
    var perRun = 100
    var perHour: UInt16 = 1_000
}

private struct Everything: JobSettings {
    var database = "sqlite:x"
    var batch = 200
    var ratio = 0.5
    var dryRun = false
    var mode = Mode.shadow
    var every: Span = .seconds(90)
    var note: String?
    var cap: Int?
    var pairs: [String] = []
    var weights: [String: Double] = ["a": 1]
    var limits = Limits()

    static let fields = [
        SettingsField("batch", "Rows at once.", range: 1 ... 1_000),
        SettingsField("ratio", range: 0.0 ... 1.0),
        SettingsField("database", "Where.", format: "uri"),
        SettingsField("limits.per_run", "Most of one run.", range: 1...),
        SettingsField("note", allowed: ["x", "y"]),
    ]
}

private final class Checked: JobEntry {
    static let info = EntryInfo(id: "checked", description: "")
    let settings: Everything
    init(settings: Everything) { self.settings = settings }
    static func validate(_ settings: Everything) throws {
        if settings.batch > 500, settings.mode == .live { throw JobFailure.badSettings("batch: at most 500 in mode live") }
    }
    func run(_ context: RunContext) throws -> RunOutcome {
        let s = settings
        return .succeeded(
            "\(s.batch) \(s.ratio) \(s.mode) \(s.every) \(s.note ?? "-") \(s.cap ?? -1) \(s.pairs) "
                + "\(s.weights.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }) \(s.limits.perRun) \(s.limits.perHour)")
    }
}

@Suite struct SettingsTests {
    private func problem(_ settings: String) -> String? { TestRun(settings: settings).validate(Checked.self) }
    private func text(_ settings: String) -> String {
        let test = TestRun(settings: settings)
        #expect(test.run(Checked.self) == .succeeded)
        return test.text
    }

    @Test func `Missing keys take the defaults of init`() {
        #expect(text("{}") == #"200 0.5 shadow 1m30s - -1 [] ["a=1.0"] 100 1000"#)
    }

    @Test func `Given keys replace them, nested objects merge, maps and lists do not`() {
        #expect(
            text(
                #"{"batch":5,"ratio":0,"mode":"live","every":"250ms","note":"y","cap":3,"pairs":["X"],"weights":{"b":2},"limits":{"per_hour":7}}"#)
                == #"5 0.0 live 250ms y 3 ["X"] ["b=2.0"] 100 7"#)
    }

    @Test(arguments: [
        (#"{"bach":1}"#, "unknown setting 'bach' (did you mean 'batch'?)"),
        (#"{"limits":{"perHour":1}}"#, "unknown setting 'limits.perHour' (did you mean 'per_hour'?)"),
        (#"{"batch":0}"#, "batch: 0 is out of range (at least 1, at most 1000)"),
        (#"{"batch":"5"}"#, "batch: a whole number was expected, not a string"),
        (#"{"batch":1.5}"#, "batch: 1.5 is not a whole number in -9223372036854775808 … 9223372036854775807"),
        (#"{"limits":{"per_hour":70000}}"#, "limits.per_hour: 70000 is not a whole number in 0 … 65535"),
        (#"{"limits":{"per_run":0}}"#, "limits.per_run: 0 is out of range (at least 1)"),
        (#"{"ratio":1.00000000000000000001}"#, "ratio: 1.00000000000000000001 is out of range (at least 0, at most 1)"),
        (#"{"limits":5}"#, "limits: an object was expected, not a number"),
        (#"{"mode":"lve"}"#, #"mode: "lve" is not allowed (one of "off", "shadow", "live")"#),
        (#"{"note":"z"}"#, #"note: "z" is not allowed (one of "x", "y")"#),
        (#"{"every":"soon"}"#, #"every: 'soon' is not a length of time such as "300ms", "45s", "1h30m""#),
        (#"{"pairs":["a",1]}"#, "pairs[1]: a string was expected, not a number"),
        (#"{"pairs":"a"}"#, "pairs: an array was expected, not a string"),
        (#"{"weights":{"a":"b"}}"#, "weights.a: a number was expected, not a string"),
        (#"{"dry_run":1}"#, "dry_run: true or false was expected, not a number"),
        (#"[]"#, "an object was expected, not an array"),
        (#"{"batch":1"#, "not valid JSON at byte 11: expected ',' or '}', found the end of the text"),
        (#"{"batch":600,"mode":"live"}"#, "batch: at most 500 in mode live"),
    ])
    func `What does not fit is told with its place`(settings: String, sentence: String) {
        #expect(problem(settings) == sentence)
    }

    @Test(arguments: [
        ("batch", "batch"), ("maxOrdersPerRun", "max_orders_per_run"), ("chainID", "chain_id"), ("URLOfNode", "url_of_node"),
        ("lock_timeout", "lock_timeout"), ("per24Hours", "per24_hours"), ("", ""),
    ])
    func `A property's name is its key in the file, in one way`(name: String, key: String) {
        #expect(settingsKey(name) == key)
        #expect(settingsKey(key) == key)
    }

    @Test func `All faults are told at once`() {
        #expect(
            problem(#"{"bach":1,"ratio":2,"mode":"x"}"#)
                == "unknown setting 'bach' (did you mean 'batch'?); ratio: 2 is out of range (at least 0, at most 1); "
                + #"mode: "x" is not allowed (one of "off", "shadow", "live")"#)
    }

    @Test func `Settings that do not fit disable the job`() {
        let test = TestRun(settings: #"{"bach":1}"#)
        #expect(test.run(Checked.self) == .badSettings)
        #expect(test.text == "unknown setting 'bach' (did you mean 'batch'?)")
    }

    @Test func `The schema follows from types, defaults and fields`() throws {
        #expect(
            JSONSchema.text(ofSettings: Everything.self)
                == #"{"type":"object","additionalProperties":false,"properties":{"#
                + #""database":{"type":"string","description":"Where.","format":"uri","default":"sqlite:x"},"#
                + #""batch":{"type":"integer","description":"Rows at once.","minimum":1,"maximum":1000,"default":200},"#
                + #""ratio":{"type":"number","minimum":0,"maximum":1,"default":0.5},"#
                + #""dry_run":{"type":"boolean","default":false},"#
                + #""mode":{"enum":["off","shadow","live"],"default":"shadow"},"#
                + #""every":{"type":"string","format":"duration","default":"1m30s"},"#
                + #""note":{"type":"string","enum":["x","y"]},"#
                + #""cap":{"type":"integer"},"#
                + #""pairs":{"type":"array","items":{"type":"string"},"default":[]},"#
                + #""weights":{"type":"object","additionalProperties":{"type":"number"},"default":{"a":1}},"#
                + #""limits":{"type":"object","additionalProperties":false,"properties":{"#
                + #""per_run":{"type":"integer","description":"Most of one run.","minimum":1,"default":100},"#
                + #""per_hour":{"type":"integer","minimum":0,"maximum":65535,"default":1000}},"#
                + #""default":{"per_run":100,"per_hour":1000}}}}"#)
        #expect(
            JSONSchema.text(ofSettings: NoSettings.self)
                == #"{"type":"object","additionalProperties":false,"properties":{}}"#)
    }

    @Test func `A payload's schema requires what is not optional`() {
        struct Line: Codable {
            var sku: String
            var count: UInt8
        }
        struct Order: Codable {
            var id: Int
            var mode: Mode
            var lines: [Line]
            var comment: String?
        }
        #expect(
            JSONSchema.text(of: Order.self)
                == #"{"type":"object","additionalProperties":false,"properties":{"id":{"type":"integer"},"#
                + #""mode":{"enum":["off","shadow","live"]},"lines":{"type":"array","items":{"type":"object","#
                + #""additionalProperties":false,"properties":{"sku":{"type":"string"},"#
                + #""count":{"type":"integer","minimum":0,"maximum":255}},"required":["sku","count"]}},"#
                + #""comment":{"type":"string"}},"required":["id","mode","lines"]}"#)
    }

    @Test(arguments: [
        ("300ms", 300), ("45s", 45_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1d", 86_400_000), ("2w", 1_209_600_000),
        ("0s", 0), ("1m1s1ms", 61_001),
    ])
    func `Spans are read`(text: String, milliseconds: Int64) {
        #expect(Span(text)?.milliseconds == milliseconds)
        #expect(Span(Span(milliseconds: milliseconds).description) == Span(milliseconds: milliseconds))
    }

    @Test(arguments: ["", "5", "s", "-1s", "1.5s", "1 s", "1y", "99999999999999999999s", "9223372036854775807s", "1s "])
    func `What is no span is refused`(text: String) {
        #expect(Span(text) == nil)
    }
}
