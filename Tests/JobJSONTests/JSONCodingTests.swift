import Testing

@testable import JobJSON

@Suite struct JSONCodingTests {
    private struct Misfit: Error, Equatable {
        var path: String
        var what: String
    }

    /// Upper-case names, nulls written, `Bool` as a word.
    private struct Rules: JSONRules {
        var writesNil: Bool { true }
        func name(of key: any CodingKey) -> String { key.stringValue.uppercased() }
        func write(_ value: some Encodable, to text: inout [UInt8]) -> Bool {
            guard let flag = value as? Bool else { return false }
            text += JSON.string(flag ? "yes" : "no").bytes
            return true
        }
        func decoded(_ type: any Decodable.Type, from decoder: JSONTreeDecoder) throws -> (any Decodable)? {
            type == Flag.self ? Flag(on: decoder.value == "yes") : nil
        }
        func error(_ misfit: JSONMisfit, at decoder: JSONTreeDecoder) -> any Error {
            let what =
                switch misfit {
                case .wrongType(let wanted): wanted
                case .noInteger(let min, let max): "\(min)…\(max)"
                case .outOfRange: "range"
                case .missing(let key): "no \(name(of: key))"
                case .endOfArray(let index): "end \(index)"
                }
            return Misfit(path: text(of: decoder.codingPath), what: what)
        }
    }

    private struct Plain: JSONRules {
        var takesWholeDecimals: Bool { true }
        func error(_ misfit: JSONMisfit, at decoder: JSONTreeDecoder) -> any Error { Misfit(path: "", what: "\(misfit)") }
    }

    private struct Flag: Codable, Equatable {
        var on: Bool
    }

    private struct Sample: Codable, Equatable {
        var name: String
        var note: String?
        var grid: [[Int?]]
        var maybe: [Flag?]
        var raw: JSON
    }

    @Test func optionalElementsAreNotTakenForNil() throws {
        let json = try JSON(parsing: #"{"NAME":"a","GRID":[[1,null],[]],"MAYBE":["yes",null],"RAW":{"x":1.10}}"#)
        let sample = try json.decode(Sample.self, rules: Rules())
        #expect(
            sample
                == Sample(name: "a", note: nil, grid: [[1, nil], []], maybe: [Flag(on: true), nil], raw: .object(["x": .number("1.10")])))
    }

    @Test func theRulesSayTheNamesAndWhetherNilIsWritten() throws {
        let sample = Sample(name: "a", note: nil, grid: [[1, nil]], maybe: [], raw: 5)
        #expect(
            try JSON(encoding: sample, rules: Rules()).text == #"{"NAME":"a","NOTE":null,"GRID":[[1,null]],"MAYBE":[],"RAW":5}"#)
        #expect(try JSON(encoding: sample, rules: Plain()).text == #"{"name":"a","grid":[[1,null]],"maybe":[],"raw":5}"#)
        #expect(try JSON(encoding: [true, false], rules: Rules()).text == #"["yes","no"]"#)
    }

    @Test(arguments: [
        (#"{"NAME":1}"#, "NAME", "a string"), ("[]", "", "an object"), (#"{"NAME":"a"}"#, "", "no GRID"),
        (#"{"NAME":"a","GRID":[[1],[1.5]]}"#, "GRID[1][0]", "-9223372036854775808…9223372036854775807"),
    ])
    func aMisfitHasItsPlace(text: String, path: String, what: String) throws {
        let json = try JSON(parsing: text)
        #expect(throws: Misfit(path: path, what: what)) { try json.decode(Sample.self, rules: Rules()) }
    }

    @Test func wholeDecimalsAreIntegersWhereTheRulesSaySo() throws {
        #expect(try JSON.number("1e3").decode(Int.self, rules: Plain()) == 1_000)
        #expect(throws: Misfit.self) { try JSON.number("1e3").decode(Int.self, rules: Rules()) }
        #expect(throws: Misfit.self) { try JSON.number("1e999").decode(Double.self, rules: Plain()) }
        #expect(throws: EncodingError.self) { try JSON(encoding: Double.nan, rules: Plain()) }
        #expect(try JSON(encoding: [0.1 as Float, 2], rules: Plain()).text == "[0.1,2]")
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

    @Test func valuesSurviveEncodingAndDecoding() throws {
        let value = Deep(
            id: .max, small: 255, parts: [.init(name: "a", size: 0.1), .init(name: "ü", size: -2)],
            byName: ["x": .init(name: "y", size: 1e300)], maybe: nil, raw: .number("1.10"), grid: [[1, nil], []])
        let json = try JSON(encoding: value)
        #expect(json.text.contains(#""raw":1.10"#))
        #expect(try JSON(parsing: json.bytes).decode(Deep.self) == value)
    }

    private enum Letter: String, CodingKey { case a, b, c }

    /// Encodes by code of its own.
    private struct Written: Encodable {
        var write: (any Encoder) throws -> Void
        func encode(to encoder: any Encoder) throws { try write(encoder) }
    }

    @Test func containersEndWhereSomethingBesideThemBegins() throws {
        let nested = Written { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            var inner = object.nestedContainer(keyedBy: Letter.self, forKey: .a)
            try inner.encode(1, forKey: .a)
            var list = inner.nestedUnkeyedContainer(forKey: .b)
            try list.encode("x")
            #expect(list.count == 1)
            try list.encodeNil()
            // The value's own container is asked for again.
            var again = encoder.container(keyedBy: Letter.self)
            try again.encode([["k": true]], forKey: .b)
            try [2].encode(to: again.superEncoder(forKey: .c))
        }
        #expect(try JSON(encoding: nested).text == #"{"a":{"a":1,"b":["x",null]},"b":[{"k":true}],"c":[2]}"#)
        #expect(try JSON(encoding: [nested]).text == #"[{"a":{"a":1,"b":["x",null]},"b":[{"k":true}],"c":[2]}]"#)
        #expect(try JSON(encoding: [Written { _ in }]).text == "[{}]")
        let twice = Written { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            _ = object.superEncoder(forKey: .a)
            try object.encode(1, forKey: .b)
            try object.encode(2, forKey: .b)
        }
        #expect(try JSON(encoding: twice).text == #"{"a":{},"b":2}"#)
        #expect(try JSON(encoding: ["\"\n": 1]).text == #"{"\"\n":1}"#)
    }

    @Test func containersAreWrittenToInAnyOrder() throws {
        let sideBySide = Written { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            var debits = object.nestedUnkeyedContainer(forKey: .a)
            var credits = object.nestedUnkeyedContainer(forKey: .b)
            var last = object.nestedContainer(keyedBy: Letter.self, forKey: .c)
            for n in 1...2 {
                try debits.encode(n)
                try credits.encode(10 * n)
            }
            try last.encode(true, forKey: .a)
            var first = debits.nestedContainer(keyedBy: Letter.self)
            try credits.encode("end")
            try first.encode(3, forKey: .a)
            #expect(debits.count == 3 && credits.count == 3)
        }
        #expect(try JSON(encoding: sideBySide).text == #"{"a":[1,2,{"a":3}],"b":[10,20,"end"],"c":{"a":true}}"#)
        let kept = Written { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            let amount = object.superEncoder(forKey: .a)
            try object.encode(1, forKey: .b)
            try 5.encode(to: amount)
        }
        #expect(try JSON(encoding: [kept, kept]).text == #"[{"a":5,"b":1},{"a":5,"b":1}]"#)
        // A part is encoded into the same object.
        let flat = Written { encoder in
            try ["a": 1].encode(to: encoder)
            var object = encoder.container(keyedBy: Letter.self)
            try object.encode(2, forKey: .b)
        }
        #expect(try JSON(encoding: flat).text == #"{"a":1,"b":2}"#)
    }

    @Test func nothingStaysOfWhatCannotBeEncodedAndIsLeftOut() throws {
        let without = Written { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            try? object.encode(Double.nan, forKey: .a)
            try? object.encode([[1, .infinity]], forKey: .a)
            var list = object.nestedUnkeyedContainer(forKey: .b)
            try? list.encode(Double.infinity)
            try list.encode(1)
        }
        #expect(try JSON(encoding: without).text == #"{"b":[1]}"#)
    }

    @Test func whatHasEndedIsNotWrittenTo() {
        func isRefused(_ write: @escaping (any Encoder) throws -> Void) {
            #expect(throws: EncodingError.self) { try JSON.bytes(encoding: [Written(write: write)], rules: PlainRules()) }
        }
        // Two values in one place.
        isRefused { encoder in
            var single = encoder.singleValueContainer()
            try single.encode(["a": 1])
            var object = encoder.container(keyedBy: Letter.self)
            try? object.encode(2, forKey: .b)
        }
        isRefused { encoder in
            _ = encoder.container(keyedBy: Letter.self)
            _ = encoder.unkeyedContainer()
        }
        isRefused { encoder in
            try 1.encode(to: encoder)
            try? 2.encode(to: encoder)
        }
        // An object that goes on within a value of its own, and a value that goes on after its end.
        isRefused { encoder in
            var object = encoder.container(keyedBy: Letter.self)
            var over: KeyedEncodingContainer<Letter>?
            let copy = object
            try object.encode(
                Written { inner in
                    var outer = copy
                    try? outer.encode(1, forKey: .a)
                    over = inner.container(keyedBy: Letter.self)
                }, forKey: .b)
            try? over?.encode(2, forKey: .c)
        }
    }

    @Test func integersAreExactHoweverTheyAreWritten() throws {
        #expect(try JSON(parsing: "9223372036854775807").decode(Int64.self) == .max)
        #expect(try JSON(parsing: "18446744073709551615").decode(UInt64.self) == .max)
        #expect(try JSON(parsing: "9223372036854775807.0").decode(Int64.self) == .max)
        #expect(try JSON(parsing: "-9.223372036854775808e18").decode(Int64.self) == .min)
        #expect(try JSON(parsing: "100e-2").decode(UInt8.self) == 1)
        #expect(try JSON(parsing: "-0.0").decode(UInt8.self) == 0)
        #expect(throws: DecodingError.self) { try JSON.number("9223372036854775808").decode(Int64.self) }
        #expect(throws: DecodingError.self) { try JSON.number("-1").decode(UInt.self) }
        for text in ["1.5", "1e99", "1e999999999999"] {
            #expect(throws: DecodingError.self, "\(text)") { try JSON.number(text).decode(Int.self) }
        }
    }

    @Test(arguments: [
        (#"{"parts":[{"name":"a"}]}"#, ["parts", "0"], "'size' is missing"),
        (#"{"parts":[{"name":1}]}"#, ["parts", "0", "name"], "a string was expected, not a number"),
        (#"{"parts":{}}"#, ["parts"], "an array was expected, not an object"),
        (#"{"parts":[{"name":"a","size":null}]}"#, ["parts", "0", "size"], "a number was expected, not null"),
        (#"{"parts":[{"name":"a","size":1e999}]}"#, ["parts", "0", "size"], "1e999 is out of range"),
        (#"{"parts":[],"count":1.5}"#, ["count"], "1.5 is not a whole number in 0 … 255"),
        (#"{"parts":[],"count":true}"#, ["count"], "a whole number was expected, not a boolean"),
    ])
    func withoutRulesAMisfitIsADecodingError(text: String, path: [String], what: String) throws {
        struct Parts: Decodable {
            var parts: [Deep.Part]
            var count: UInt8?
        }
        let json = try JSON(parsing: text)
        let error = #expect(throws: DecodingError.self) { try json.decode(Parts.self) }
        switch error {
        case .typeMismatch(_, let context), .keyNotFound(_, let context), .dataCorrupted(let context):
            #expect(context.codingPath.map(\.stringValue) == path)
            #expect(context.debugDescription == what)
        default: Issue.record("\(String(describing: error))")
        }
    }
}
