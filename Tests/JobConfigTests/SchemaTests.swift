import JobConfig
import JobCore
import JobJSON
import Testing

@Suite struct SchemaTests {
    private static let schemaText = #"""
        {
          "type": "object",
          "description": "settings",
          "additionalProperties": false,
          "required": ["database"],
          "properties": {
            "database": {"type": "string", "minLength": 1},
            "batch": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200},
            "rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "mode": {"enum": ["off", "shadow", "live"], "default": "shadow"},
            "every": {"type": "string", "format": "duration"},
            "from": {"type": "string", "format": "instant"},
            "cap": {"type": "string", "format": "decimal"},
            "pairs": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "pattern": "^[A-Z]{3,5}/[A-Z]{3,5}$"}},
            "chain": {"type": ["string", "null"], "maxLength": 4},
            "nested": {"type": "object", "properties": {"deep": {"type": "boolean"}}, "additionalProperties": false},
            "version": {"const": 2},
            "limits": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
          }
        }
        """#

    private func violations(_ json: String) throws -> [String] {
        try JSONSchema(text: Self.schemaText).validate(JSON(parsing: json)).map(\.description)
    }

    @Test(arguments: [
        #"{"database":"x"}"#, #"{"database":"x","batch":1}"#, #"{"database":"x","batch":1000.0}"#, #"{"database":"x","rate":0.999999999999999999999}"#,
        #"{"database":"x","mode":"live","every":"1h30m","from":"2026-01-01T00:00:00+01:00","cap":"-0.25"}"#,
        #"{"database":"x","limits":{}}"#, #"{"database":"x","limits":{"any":1,"name":2}}"#,
        #"{"database":"x","pairs":["BTC/USDT","XRP/ETH"],"chain":null,"nested":{"deep":true},"version":2.0}"#,
    ])
    func whatFitsIsAccepted(json: String) throws {
        #expect(try violations(json) == [])
    }

    @Test(arguments: [
        ("[]", "must be an object, found an array"),
        ("{}", "lacks 'database', which is required"),
        (#"{"databse":"x"}"#, "lacks 'database', which is required (found 'databse')|'databse' is no known key (did you mean 'database'?)"),
        (#"{"database":""}"#, "'database' must have at least 1 characters, found 0"),
        (#"{"database":7}"#, "'database' must be a string, found 7"),
        (#"{"database":"x","batch":0}"#, "'batch' must be at least 1, found 0"),
        (#"{"database":"x","batch":1000.5}"#, "'batch' must be an integer, found 1000.5"),
        (#"{"database":"x","batch":1001}"#, "'batch' must be at most 1000, found 1001"),
        (#"{"database":"x","rate":0}"#, "'rate' must be above 0, found 0"),
        (#"{"database":"x","rate":1.0}"#, "'rate' must be below 1, found 1.0"),
        (#"{"database":"x","mode":"shadwo"}"#, #"'mode' must be one of "off", "shadow", "live", found "shadwo" (did you mean "shadow"?)"#),
        (#"{"database":"x","every":"5"}"#, #"'every' must be a duration such as "45s", found "5" (units: us, ms, s, m, h, d, as in "300ms" or "1h30m")"#),
        (#"{"database":"x","from":"2026-01-01"}"#, #"'from' must be an instant such as "2027-01-01T00:00:00Z", found "2026-01-01""#),
        (#"{"database":"x","cap":"1,5"}"#, #"'cap' must be a decimal number such as "0.25", found "1,5""#),
        (#"{"database":"x","pairs":[]}"#, "'pairs' must have at least 1 elements, found 0"),
        (#"{"database":"x","pairs":["A/B"]}"#, #"'pairs[0]' must match the pattern ^[A-Z]{3,5}/[A-Z]{3,5}$, found "A/B""#),
        (#"{"database":"x","chain":"ether"}"#, "'chain' must have at most 4 characters, found 5"),
        (#"{"database":"x","chain":false}"#, "'chain' must be a string or null, found false"),
        (#"{"database":"x","limits":{"fine":1,"small":0}}"#, "'limits.small' must be at least 1, found 0"),
        (#"{"database":"x","nested":{"deep":1}}"#, "'nested.deep' must be true or false, found 1"),
        (#"{"database":"x","nested":{"dep":true}}"#, "'nested.dep' is no known key (did you mean 'deep'?)"),
        (#"{"database":"x","version":3}"#, "'version' must be 2, found 3"),
    ])
    func eachRuleIsChecked(json: String, messages: String) throws {
        #expect(try violations(json).joined(separator: "|") == messages)
    }

    @Test(arguments: [
        (#"{"minimun": 1}"#, "the schema: the keyword 'minimun' is not supported (did you mean 'minimum'?)"),
        (#"{"type": "int"}"#, "the schema at 'type': \"int\" is no type (allowed: null, boolean, integer, number, string, array, object)"),
        (#"{"properties": {"a": {"format": "email"}}}"#, "the schema at 'properties.a.format': \"email\" is no format that is checked here (allowed: duration, instant, decimal)"),
        (#"{"additionalProperties": 7}"#, "the schema at 'additionalProperties': a schema must be an object, found number"),
        (#"{"items": true}"#, "the schema at 'items': a schema must be an object, found boolean"),
        (#"{"minimum": "1"}"#, "the schema at 'minimum': must be a number, found \"1\""),
        (#"{"minimum": 2, "maximum": 1}"#, "the schema: the minimum 2 is above the maximum 1"),
        (#"{"minLength": -1}"#, "the schema at 'minLength': must be an integer from 0, found -1"),
        (#"{"pattern": "(?=x)"}"#, "the schema at 'pattern': of the '(?' groups only '(?:' is supported, at character 3"),
        (#"{"type": "integer", "default": "x"}"#, "the schema at 'default': breaks the schema's own rule: must be an integer, found \"x\""),
        (#"{"required": ["a"], "additionalProperties": false}"#, "the schema at 'required': 'a' is required but no property allows it"),
        (#"{"enum": []}"#, "the schema at 'enum': an empty list allows nothing"),
        (#"{"enum": [1], "const": 1}"#, "the schema at 'const': 'enum' is there too"),
    ])
    func aSchemaThatCannotBeHonouredIsRefused(text: String, message: String) {
        let fault = #expect(throws: JSONSchema.Fault.self) { try JSONSchema(text: text) }
        #expect(fault?.description == message)
    }

    @Test func keywordsOfOtherDialectsAreRefused() {
        for keyword in ["$ref", "anyOf", "allOf", "oneOf", "not", "if", "patternProperties", "multipleOf", "uniqueItems", "dependentRequired", "contains"] {
            #expect(throws: JSONSchema.Fault.self) { try JSONSchema(text: "{\"\(keyword)\": {}}") }
        }
    }

    @Test func findingsInTablesHaveTheirPlaces() throws {
        let schema = try JSONSchema(text: Self.schemaText)
        let job = try loadJob("[jobs.j.settings]\nbatch = 0\nbtch = 1\nmode = \"shadwo\"\npairs = [\n  \"BTC/USDT\",\n  \"x\"]\nnested = { dep = 1 }")
        let found = schema.validate(job.settings, name: "settings", place: job.position)
        #expect(
            found.map(\.description) == [
                "jobs.toml:6:1: settings: lacks 'database', which is required",
                "jobs.toml:7:9: settings: 'batch' must be at least 1, found 0",
                "jobs.toml:8:1: settings: 'btch' is no known key (did you mean 'batch'?)",
                #"jobs.toml:9:8: settings: 'mode' must be one of "off", "shadow", "live", found "shadwo" (did you mean "shadow"?)"#,
                #"jobs.toml:12:3: settings: 'pairs[1]' must match the pattern ^[A-Z]{3,5}/[A-Z]{3,5}$, found "x""#,
                "jobs.toml:13:12: settings: 'nested.dep' is no known key (did you mean 'deep'?)",
            ])
    }

    @Test func aJobWithoutSettingsGetsThePlaceOfItsTable() throws {
        let job = try loadJob("")
        let found = try JSONSchema(text: Self.schemaText).validate(job.settings, name: "settings of job 'j'", place: job.position)
        #expect(found.map(\.description) == ["jobs.toml:3:7: settings of job 'j': lacks 'database', which is required"])
    }

    @Test func moneyIsComparedAsItIsWritten() throws {
        let schema = try JSONSchema(text: #"{"properties": {"cap": {"maximum": 0.1}}}"#)
        #expect(schema.validate(try JSON(parsing: #"{"cap":0.1000000000000000000000000000001}"#)).count == 1)
        #expect(schema.validate(try JSON(parsing: #"{"cap":0.10}"#)).isEmpty)
        #expect(schema.validate(try loadJob("settings = { cap = 0.1000000000000000000000000000001 }").settings, name: "", place: nil).count == 1)
    }

    @Test(arguments: 0..<4)
    func noSchemaEndsTheReader(seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let text = Array(Self.schemaText.utf8)
        let values = try [#"{"database":"x","pairs":["a"]}"#, "[]", "1e400", #"{"batch":"","nested":[{}]}"#].map { try JSON(parsing: $0) }
        var read = 0
        for _ in 0..<1_000 {
            var bytes = text
            for _ in 0...Int.random(in: 0..<3, using: &numbers) {
                let at = Int.random(in: 0..<bytes.count, using: &numbers)
                bytes[at] = text.randomElement(using: &numbers) ?? 0
            }
            guard let schema = try? JSONSchema(text: String(decoding: bytes, as: UTF8.self)) else { continue }
            read += 1
            for value in values { #expect(schema.validate(value).count <= 100) }
        }
        #expect(read > 10)
    }
}

@Suite struct PatternTests {
    @Test(arguments: [
        ("", "", true), ("a", "bab", true), ("^a", "ba", false), ("a$", "ba", true), ("^$", "", true), ("^$", "x", false), (".", "\n", false),
        ("^[a-z]+$", "abc", true), ("^[a-z]+$", "aBc", false), ("^[^0-9]*$", "abc", true), ("^[^0-9]*$", "a1", false), ("^\\d{3}$", "123", true),
        ("^\\d{3}$", "1234", false), ("^a{2,}$", "aa", true), ("^a{2,}$", "a", false), ("^a{1,2}$", "aaa", false), ("^(ab|cd)+$", "abcdab", true),
        ("^(ab|cd)+$", "abc", false), ("^(?:x|)y$", "y", true), ("^a??$", "a", true), ("^[\\w.-]+@[\\w.-]+$", "a.b@c-d", true), ("^\\u0041$", "A", true),
        ("^\\.$", ".", true), ("^\\.$", "x", false), ("^[\\]\\-a]+$", "]-a", true), ("^é$", "é", true), ("^.$", "😀", true), ("^\\S+$", "a b", false),
        ("^[^\\s]+$", "ab", true), ("(a|b)*c|d", "xxd", true), ("^(a*)*$", "aaaa", true), ("^(a|b|ab)*$", "abba", true), ("^0x[0-9a-fA-F]{40}$", "0x52908400098527886E0F7030069857D2E4169EE7", true),
    ])
    func itMatchesAsECMAScriptDoes(pattern: String, text: String, matches: Bool) throws {
        #expect(try Pattern(pattern).matches(text) == matches)
    }

    @Test(arguments: ["(", ")", "[a", "a{", "a{2,1}", "a{1001}", "*a", "a**", "\\1", "\\b", "\\p{L}", "(?!a)", "(?<n>a)", "[z-a]", "\\", "^*", "]", "}", "\\u12", "[\\d-x]"])
    func whatItCannotHonourIsRefused(pattern: String) {
        #expect(throws: Pattern.Fault.self) { try Pattern(pattern) }
    }

    @Test func sizeIsBounded() {
        #expect(throws: Pattern.Fault.self) { try Pattern("((a{100}){100}){100}") }
        #expect(throws: Pattern.Fault.self) { try Pattern("(((){1000}){1000}){1000}") }
        #expect(throws: Pattern.Fault.self) { try Pattern(String(repeating: "(", count: 100) + String(repeating: ")", count: 100)) }
        #expect(throws: Pattern.Fault.self) { try Pattern(String(repeating: "a", count: 1_025)) }
    }

    /// A backtracking matcher needs 2^30 steps and more for these.
    @Test(.timeLimit(.minutes(5)))
    func noTextHoldsItUp() throws {
        let text = String(repeating: "a", count: 5_000) + "!"
        for pattern in ["^(a+)+$", "^(a|aa)+$", "^(a*)*b$", "^(.*a){12}$"] { #expect(try !Pattern(pattern).matches(text)) }
    }
}
