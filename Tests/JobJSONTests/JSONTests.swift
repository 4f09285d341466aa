import JobCore
import JobJSON
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        ("null", "null"), (" [ 1 , 2.50 , -0.0 , 1E+2 ] ", "[1,2.50,-0.0,1E+2]"), (#"{"b":1,"a":{}}"#, #"{"a":{},"b":1}"#),
        (#""\u0041\n\u001f\/\"""#, #""A\n\u001f/\"""#), (#""\ud83d\ude00é""#, "\"😀é\""),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"), ("[]", "[]"), ("\ttrue\r\n", "true"),
    ])
    func aTextComesBackInCanonicalForm(text: String, canonical: String) throws {
        let value = try JSON(parsing: text)
        #expect(value.canonicalText == canonical)
        #expect(try JSON(parsing: value.canonicalText) == value)
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "-01", "1 2", "[1,]", "[,1]", "[1",
        "{", "{}}", "{a:1}", "{'a':1}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{"a":1 "b":2}"#, #""a"#, #""\x""#, #""\u12""#, #""\u12g4""#,
        #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\u0000""#, "\"a\nb\"", "\"\t\"", #""\"#, "[1]x", "\u{FEFF}1", "// x", "\"\u{0}\"",
    ])
    func whatTheRFCDoesNotAllowIsRefused(text: String) {
        #expect(throws: JSONError.self) { try JSON(parsing: text) }
    }

    @Test func anErrorSaysWhere() {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: #"{"a": [1, x]}"#) }
        #expect(error?.description == "not valid JSON at byte 11: expected a value, found 'x'")
        let end = #expect(throws: JSONError.self) { try JSON(parsing: "[1") }
        #expect(end?.description == "not valid JSON at byte 3: expected ',' or ']', found the end of the text")
    }

    @Test func aNameThatIsThereTwiceIsRefusedUnlessAllowed() throws {
        let text = #"{"a":1,"a":2}"#
        let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
        #expect(error?.description == "not valid JSON at byte 8: the member \"a\" is there twice")
        #expect(try JSON(parsing: text, limits: .init(allowsDuplicateKeys: true))["a"] == .number("2"))
    }

    @Test func depthAndLengthHaveLimits() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(throws: Never.self) { try JSON(parsing: nested(64)) }
        let deep = #expect(throws: JSONError.self) { try JSON(parsing: nested(65)) }
        #expect(deep?.message == "nested deeper than 64")
        let long = #expect(throws: JSONError.self) { try JSON(parsing: "[1,2]", limits: .init(bytes: 4)) }
        #expect(long?.message == "the text has 5 bytes, allowed are 4")
        #expect(throws: Never.self) { try JSON(parsing: nested(128), limits: .wide) }
        #expect(throws: JSONError.self) { try JSON(parsing: nested(129), limits: .wide) }
        #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: "[", count: 100_000)) }
    }

    @Test(arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22]] as [[UInt8]])
    func bytesThatAreNotUTF8AreRefused(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
    }

    @Test func numbersKeepTheirDigits() throws {
        #expect(try JSON(parsing: "0.10") == .number("0.10"))
        #expect(try JSON(parsing: "0.10") != .number("0.1"))
        #expect(JSON.number("0.10").isSame(as: .number("0.1")))
        #expect(try JSON(parsing: "9223372036854775807").int64Value == .max)
        #expect(try JSON(parsing: "9223372036854775808").int64Value == nil)
    }

    @Test(arguments: [
        ("1", "1.0", 0), ("1e2", "100", 0), ("10e-1", "1", 0), ("-0", "0", 0), ("0.000", "0e9", 0), ("2", "10", -1), ("-2", "-10", 1),
        ("0.09", "0.1", -1), ("-1", "0", -1), ("0", "0.0001", -1), ("1e999999999999999999999", "1e5", 1), ("1e-99999999999", "0", 1),
        ("9007199254740993", "9007199254740992", 1), ("0.1", "0.10000000000000000000000000001", -1), ("123.456e2", "12345.6", 0),
    ])
    func decimalsAreComparedExactly(a: String, b: String, order: Int) throws {
        let (x, y) = (try #require(DecimalText(a)), try #require(DecimalText(b)))
        #expect((x < y ? -1 : y < x ? 1 : 0) == order)
        #expect((x == y) == (order == 0))
    }

    @Test func whatIsNoNumberIsNoDecimal() {
        for text in ["", "-", ".", "1.", ".5", "e5", "1e", "1e+", "0x1", "1 ", "nan", "--1"] { #expect(DecimalText(text) == nil, "\(text)") }
        #expect(DecimalText("5.00")?.isInteger == true)
        #expect(DecimalText("5e3")?.isInteger == true)
        #expect(DecimalText("0.0")?.isInteger == true)
        #expect(DecimalText("5.5")?.isInteger == false)
        #expect(DecimalText("5e-1")?.isInteger == false)
    }

    /// Noise, and valid texts with a few bytes changed: either a value that comes back, or an error.
    @Test(arguments: 0..<8)
    func noBytesEndTheParser(seed: UInt64) throws {
        var numbers = SeededGenerator(seed: seed)
        let seedText = Array(#"{"a":[1,-2.5e+10,"x\u00e9\n\ud83d\ude00",true,false,null,{"b":{}}],"c":"é€😀"}"#.utf8)
        let alphabet = Array(#"{}[]":,\u0123456789aebfntrl-+.eE "#.utf8)
        var accepted = 0
        for round in 0..<2_000 {
            var bytes: [UInt8]
            if round % 2 == 0 {
                bytes = seedText
                for _ in 0...Int.random(in: 0..<4, using: &numbers) {
                    let at = Int.random(in: 0..<bytes.count, using: &numbers)
                    switch Int.random(in: 0..<3, using: &numbers) {
                    case 0: bytes[at] = UInt8.random(in: 0...255, using: &numbers)
                    case 1: bytes.remove(at: at)
                    default: bytes.insert(alphabet.randomElement(using: &numbers) ?? 0, at: at)
                    }
                }
            } else {
                bytes = (0..<Int.random(in: 0..<40, using: &numbers)).map { _ in alphabet.randomElement(using: &numbers) ?? 0 }
            }
            guard let value = try? JSON(parsing: bytes) else { continue }
            accepted += 1
            #expect(try JSON(parsing: value.canonicalBytes) == value)
        }
        #expect(accepted > 10)
    }
}
