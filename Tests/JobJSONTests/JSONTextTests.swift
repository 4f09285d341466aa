import JobCore
import JobJSON
import Testing

@Suite struct JSONTextTests {
    private func quoted(_ text: String, _ escapes: JSONText.Escapes) -> String {
        var out: [UInt8] = []
        JSONText.append(text, to: &out, escaping: escapes)
        return String(decoding: out, as: UTF8.self)
    }

    @Test(arguments: [
        ("", #""""#, #""""#), ("é€😀", #""é€😀""#, #""é€😀""#), ("\"\\/", #""\"\\/""#, #""\"\\/""#),
        ("\n\r\t\u{8}\u{1F}", #""\n\r\t\u0008\u001f""#, #""\n\r\t\u0008\u001f""#), ("a\u{7F}", "\"a\u{7F}\"", #""a\u007f""#),
        ("\u{80}\u{9F}\u{A0}", "\"\u{80}\u{9F}\u{A0}\"", "\"\\u0080\\u009f\u{A0}\""),
        ("\u{2027}\u{2028}\u{2029}", "\"\u{2027}\u{2028}\u{2029}\"", "\"\u{2027}\\u2028\\u2029\""),
    ])
    func charactersBecomeEscapesWhereTheyMust(text: String, required: String, controls: String) throws {
        #expect(quoted(text, .required) == required)
        #expect(quoted(text, .controls) == controls)
        #expect(try JSON(parsing: required) == .string(text))
        #expect(try JSON(parsing: controls) == .string(text))
    }

    @Test func brokenUTF8IsRepaired() {
        var out: [UInt8] = []
        JSONText.append([0x61, 0xFF, 0xC2], to: &out, escaping: .controls)
        #expect(String(decoding: out, as: UTF8.self) == "\"a\u{FFFD}\u{FFFD}\"")
    }

    @Test(arguments: [
        ("{}", .object), (" {\"a\":[1]}\n", .object), ("[]", .other), ("1", .other), ("null", .other), (#"{"a":1,"a":"\ud800"}"#, .object),
        ("", nil), ("{", nil), ("{}}", nil), ("01", nil), (#"{"a":"\x"}"#, nil), ("nul", nil), ("[1,]", nil),
    ] as [(String, JSONKind?)])
    func aCheckedTextIsAnObjectOrAnotherValueOrNone(text: String, kind: JSONKind?) {
        #expect(Array(text.utf8).withUnsafeBytes { JSONText.kind(of: $0) } == kind)
    }

    @Test func aCheckHasADepthAndWantsUTF8() {
        func kind(_ bytes: [UInt8]) -> JSONKind? { bytes.withUnsafeBytes { JSONText.kind(of: $0, depth: 3) } }
        #expect(kind(Array("[[[]]]".utf8)) == .other)
        #expect(kind(Array("[[[[]]]]".utf8)) == nil)
        #expect(kind([0x22, 0xFF, 0x22]) == nil)
    }

    @Test(arguments: [
        (#"{ "a b" : "\" \\" , "c" : [ 1 , " " ] }"#, #"{"a b":"\" \\","c":[1," "]}"#), ("\t{}\r\n", "{}"), ("[ ]", nil), ("{} {}", nil),
    ])
    func spaceBetweenPartsGoesAndSpaceInStringsStays(text: String, compact: String?) {
        #expect(JSONText.compactObject(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } == compact)
    }

    /// What is checked and what is parsed are one grammar.
    @Test(arguments: 0..<4)
    func theCheckTakesWhatTheParserTakes(seed: UInt64) {
        var numbers = SeededGenerator(seed: seed)
        let alphabet = Array(#"{}[]":,\u0123456789aebfntrl-+.eE "#.utf8)
        let limits = JSON.Limits(depth: 128, allowsDuplicateKeys: true, allowsNUL: true)
        var taken = 0
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 1..<8, using: &numbers)).map { _ in alphabet.randomElement(using: &numbers) ?? 0 }
            let isParsed = (try? JSON(parsing: bytes, limits: limits)) != nil
            taken += isParsed ? 1 : 0
            #expect(bytes.withUnsafeBytes { JSONText.kind(of: $0) != nil } == isParsed)
        }
        #expect(taken > 50)
    }
}
