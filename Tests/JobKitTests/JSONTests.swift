import Testing

@testable import JobKit

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", "[]", "{}", "0", "-0", "1.50", "1e400", "123456789012345678901234567890.000000000000000001",
        #""a""#, #"{"b":1,"a":[{"c":null}]}"#, #""é日🕰️""#, #""\u0001\n\\\"""#,
    ])
    func `What is read is written back, digit by digit, key by key`(text: String) throws {
        #expect(try JSON(parsing: text).text == text)
    }

    @Test(arguments: [
        (#""\u00e9\ud83d\ude00\/\b\f""#, "é😀/\u{8}\u{C}"), (#" "a" "#, "a"),
    ])
    func `Escapes are resolved`(text: String, value: String) throws {
        #expect(try JSON(parsing: text) == .string(value))
    }

    @Test(arguments: [
        ("", "a value is missing at byte 0"), ("nul", "a value was expected at byte 0"), ("01", "a number with a leading zero at byte 1"),
        ("1.", "a digit was expected at byte 2"), ("-", "a digit was expected at byte 1"), ("+1", "a value was expected at byte 0"),
        ("[1,]", "a value was expected at byte 3"), ("[1", "',' or ']' was expected at byte 2"), ("{\"a\" 1}", "':' was expected at byte 5"),
        ("{a:1}", "a key was expected at byte 1"), (#"{"a":1,"a":2}"#, "the key 'a' comes twice at byte 7"),
        (#""a"#, "the string does not end at byte 2"), ("\"\n\"", "a control character in a string at byte 1"),
        (#""\x""#, "an unknown escape at byte 3"), (#""\ud800""#, "half a surrogate pair at byte 7"),
        (#""\udc00""#, "half a surrogate pair at byte 7"), ("1 2", "something follows the value at byte 2"), ("NaN", "a value was expected at byte 0"),
    ])
    func `What is not JSON is refused with the place`(text: String, sentence: String) {
        #expect(throws: JSONError.self) { try JSON(parsing: text) }
        do { _ = try JSON(parsing: text) } catch { #expect("\(error)" == "not JSON: \(sentence)") }
    }

    @Test func `Invalid UTF-8 and endless nesting are refused`() {
        #expect(throws: JSONError(offset: 3, message: "invalid UTF-8 in a string")) { try JSON(parsing: [0x22, 0xC0, 0xAF, 0x22]) }
        #expect(throws: JSONError(offset: 128, message: "nested too deep")) {
            try JSON(parsing: String(repeating: "[", count: 100_000))
        }
    }

    @Test(arguments: UInt64(1) ... 30) func `Random bytes never trap`(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        let alphabet = Array(#"{}[]",:\u0123456789.eE+-truefalsn "#.utf8) + [0xFF, 0xC3, 0x00]
        for _ in 0 ..< 300 {
            var bytes: [UInt8] = []
            for _ in 0 ..< 24 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            if let value = try? JSON(parsing: bytes) { #expect((try? JSON(parsing: value.utf8)) == value) }
        }
    }

    private struct Deep: Codable, Equatable {
        struct Part: Codable, Equatable {
            var name: String
            var size: Double
        }
        var id: Int64
        var small: UInt8
        var parts: [Part]
        var byName: [String: Part]
        var maybe: Int?
        var raw: JSON
        var grid: [[Int?]]
    }

    @Test func `Values survive encoding and decoding`() throws {
        let value = Deep(
            id: .max, small: 255, parts: [.init(name: "a", size: 0.1), .init(name: "ü", size: -2)],
            byName: ["x": .init(name: "y", size: 1e300)], maybe: nil, raw: .number("1.10"), grid: [[1, nil], []])
        let json = try JSON(encoding: value)
        #expect(json.text.contains(#""raw":1.10"#))
        #expect(try JSON(parsing: json.utf8).decode(Deep.self) == value)
    }

    @Test func `Numbers are exact or refused`() throws {
        #expect(try JSON(parsing: "9223372036854775807").decode(Int64.self) == .max)
        #expect(throws: DecodingError.self) { try JSON(parsing: "9223372036854775808").decode(Int64.self) }
        #expect(try JSON(parsing: "1e3").decode(Int.self) == 1_000)
        #expect(throws: DecodingError.self) { try JSON(parsing: "1e999").decode(Double.self) }
        #expect(throws: EncodingError.self) { try JSON(encoding: [Double.nan]) }
        #expect(try JSON(encoding: [Float(0.1)]).text == "[0.1]")
    }

    @Test func `A missing key and a wrong type tell their path`() throws {
        let json = try JSON(parsing: #"{"parts":[{"name":"a"}]}"#)
        struct Parts: Decodable { var parts: [Deep.Part] }
        do {
            _ = try json.decode(Parts.self)
            Issue.record("decoded")
        } catch { #expect(describe(error) == "parts[0]: 'size' is missing") }
    }
}
