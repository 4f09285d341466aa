import JobCore
import Testing

@Suite struct JSONCodingTests {
    private struct Misfit: Error, Equatable {
        var path: String
        var what: String
    }

    /// Upper-case names, nulls written, `Bool` as a word.
    private struct Rules: JSONRules {
        var writesNil: Bool { true }
        func name(of key: any CodingKey) -> String { key.stringValue.uppercased() }
        func encoded(_ value: any Encodable) -> JSONValue? { (value as? Bool).map { $0 ? "yes" : "no" } }
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
        var raw: JSONValue
    }

    @Test func optionalElementsAreNotTakenForNil() throws {
        let json = try JSONValue(parsing: #"{"NAME":"a","GRID":[[1,null],[]],"MAYBE":["yes",null],"RAW":{"x":1.10}}"#)
        let sample = try json.decode(Sample.self, rules: Rules())
        #expect(
            sample
                == Sample(name: "a", note: nil, grid: [[1, nil], []], maybe: [Flag(on: true), nil], raw: .object(["x": .number("1.10")])))
    }

    @Test func theRulesSayTheNamesAndWhetherNilIsWritten() throws {
        let sample = Sample(name: "a", note: nil, grid: [[1, nil]], maybe: [], raw: 5)
        #expect(
            try JSONValue(encoding: sample, rules: Rules()).text == #"{"NAME":"a","NOTE":null,"GRID":[[1,null]],"MAYBE":[],"RAW":5}"#)
        #expect(try JSONValue(encoding: sample, rules: Plain()).text == #"{"name":"a","grid":[[1,null]],"maybe":[],"raw":5}"#)
        #expect(try JSONValue(encoding: [true, false], rules: Rules()).text == #"["yes","no"]"#)
    }

    @Test(arguments: [
        (#"{"NAME":1}"#, "NAME", "a string"), ("[]", "", "an object"), (#"{"NAME":"a"}"#, "", "no GRID"),
        (#"{"NAME":"a","GRID":[[1],[1.5]]}"#, "GRID[1][0]", "-9223372036854775808…9223372036854775807"),
    ])
    func aMisfitHasItsPlace(text: String, path: String, what: String) throws {
        let json = try JSONValue(parsing: text)
        #expect(throws: Misfit(path: path, what: what)) { try json.decode(Sample.self, rules: Rules()) }
    }

    @Test func wholeDecimalsAreIntegersWhereTheRulesSaySo() throws {
        #expect(try JSONValue.number("1e3").decode(Int.self, rules: Plain()) == 1_000)
        #expect(throws: Misfit.self) { try JSONValue.number("1e3").decode(Int.self, rules: Rules()) }
        #expect(throws: Misfit.self) { try JSONValue.number("1e999").decode(Double.self, rules: Plain()) }
        #expect(throws: EncodingError.self) { try JSONValue(encoding: Double.nan, rules: Plain()) }
        #expect(try JSONValue(encoding: [0.1 as Float, 2], rules: Plain()).text == "[0.1,2]")
    }
}
