/// JSON as Swift's own coders have it: names as in Swift, nil left out, misfits as `DecodingError`
/// with what was expected and what was found.
package struct PlainRules: JSONRules {
    package init() {}

    package var takesWholeDecimals: Bool { true }

    package func error(_ misfit: JSONMisfit, at decoder: JSONTreeDecoder) -> any Error {
        let value = decoder.value
        func context(_ message: String, _ path: [any CodingKey] = decoder.codingPath) -> DecodingError.Context {
            .init(codingPath: path, debugDescription: message)
        }
        switch (misfit, value) {
        case (.noInteger(let min, let max), .number(let literal)):
            return DecodingError.dataCorrupted(context("\(literal) is not a whole number in \(min) … \(max)"))
        case (.noInteger, _):
            return DecodingError.typeMismatch(JSON.self, context("a whole number was expected, not \(value.kindName)"))
        case (.wrongType(let wanted), _):
            return DecodingError.typeMismatch(JSON.self, context("\(wanted) was expected, not \(value.kindName)"))
        case (.outOfRange, _):
            return DecodingError.dataCorrupted(context("\(value.text) is out of range"))
        case (.missing(let key), _):
            return DecodingError.keyNotFound(key, context("'\(name(of: key))' is missing"))
        case (.endOfArray(let index), _):
            let path = decoder.codingPath + [JSONIndexKey(index: index)]
            return DecodingError.valueNotFound(JSON.self, context("the array ends here", path))
        }
    }
}

extension JSON {
    /// `typeName` in a sentence: "a string", "null".
    package var kindName: String {
        switch self {
        case .null: typeName
        case .array, .object: "an \(typeName)"
        case .bool, .number, .string: "a \(typeName)"
        }
    }
}
