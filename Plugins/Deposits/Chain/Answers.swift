import JobKit

/// Parts of a node's answer. Each throws `ChainNode.Nonsense` with what was expected.
extension JSON {
    func object(_ what: String) throws -> JSONObject {
        guard let objectValue else { throw ChainNode.Nonsense("\(what) is no object") }
        return objectValue
    }

    func array(_ what: String) throws -> [JSON] {
        guard case .array(let elements) = self else { throw ChainNode.Nonsense("\(what) is no array") }
        return elements
    }

    func string(_ what: String) throws -> String {
        guard case .string(let text) = self else { throw ChainNode.Nonsense("\(what) is no string") }
        return text
    }

    /// An integer that is written as a number.
    func integer(_ what: String) throws -> Int64 {
        guard case .number(let text) = self, let value = Int64(text) else { throw ChainNode.Nonsense("\(what) is no integer") }
        return value
    }
}

extension JSONObject {
    /// A member that has to be there. `null` is there.
    func member(_ key: String) throws -> JSON {
        guard let value = self[key] else { throw ChainNode.Nonsense("there is no '\(key)'") }
        return value
    }
}
