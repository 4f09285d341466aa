import JobCore
import JobJSON

/// JSON → `JSONSchema.Node`; refuses what would not be checked.
struct SchemaReader {
    typealias Node = JSONSchema.Node
    typealias Fault = JSONSchema.Fault
    typealias Path = [JSONSchema.PathPart]

    /// In the order in which they are read.
    private static let keywords = [
        "type", "properties", "required", "additionalProperties", "enum", "const", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "items", "minItems",
        "maxItems", "format", "title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment",
    ]

    func node(_ json: JSON, path: Path) throws(Fault) -> Node {
        guard case .object(let members) = json else {
            throw Fault(path: path, message: "a schema must be an object, found \(json.typeName)")
        }
        for name in members.keys.sorted() where !SchemaReader.keywords.contains(name) {
            throw Fault(
                path: path, message: "the keyword '\(name)' is not supported",
                hint: nameHint(name, among: SchemaReader.keywords))
        }
        var node = Node()
        if let types = members["type"] { node.types = try self.types(types, path) }
        try readObjectRules(members, path, into: &node)
        try readValueRules(members, path, into: &node)
        if let items = members["items"] { node.items = [try self.node(items, path: path + [.member("items")])] }
        node.counts = try range(members, "minItems", "maxItems", path)
        if let fallback = members["default"] { try check(default: fallback, node, path) }
        return node
    }

    private func types(_ json: JSON, _ path: Path) throws(Fault) -> [JSONSchema.SchemaType] {
        var out: [JSONSchema.SchemaType] = []
        for element in json.arrayValue ?? [json] {
            guard let name = element.stringValue, let type = JSONSchema.SchemaType(rawValue: name) else {
                throw Fault(
                    path: path + [.member("type")], message: "\(element.canonicalText) is no type",
                    hint: "allowed: " + JSONSchema.SchemaType.allCases.map(\.rawValue).joined(separator: ", "))
            }
            out.append(type)
        }
        guard !out.isEmpty else { throw Fault(path: path + [.member("type")], message: "an empty list of types") }
        return out
    }

    private func readObjectRules(_ members: JSONObject, _ path: Path, into node: inout Node) throws(Fault) {
        if let properties = members["properties"] {
            guard case .object(let schemas) = properties else {
                throw Fault(path: path + [.member("properties")], message: "must be an object")
            }
            for (name, schema) in schemas.sorted(by: { $0.key < $1.key }) {
                node.properties[name] = try self.node(schema, path: path + [.member("properties"), .member(name)])
            }
        }
        if let required = members["required"] {
            for element in try list(required, path + [.member("required")]) {
                guard let name = element.stringValue else {
                    throw Fault(path: path + [.member("required")], message: "must hold names, found \(element.canonicalText)")
                }
                node.required.append(name)
            }
        }
        if let additional = members["additionalProperties"] {
            if let allowed = additional.boolValue {
                node.allowsAdditional = allowed
            } else {
                node.additional = [try self.node(additional, path: path + [.member("additionalProperties")])]
            }
            if !node.allowsAdditional, let missing = node.required.first(where: { node.properties[$0] == nil }) {
                throw Fault(path: path + [.member("required")], message: "'\(missing)' is required but no property allows it")
            }
        }
    }

    private func readValueRules(_ members: JSONObject, _ path: Path, into node: inout Node) throws(Fault) {
        if let allowed = members["enum"] {
            let values = try list(allowed, path + [.member("enum")])
            guard !values.isEmpty else { throw Fault(path: path + [.member("enum")], message: "an empty list allows nothing") }
            node.allowed = values
        }
        if let only = members["const"] {
            guard node.allowed == nil else { throw Fault(path: path + [.member("const")], message: "'enum' is there too") }
            node.allowed = [only]
        }
        node.minimum = try bound(members, "minimum", "exclusiveMinimum", path)
        node.maximum = try bound(members, "maximum", "exclusiveMaximum", path)
        if let low = node.minimum, let high = node.maximum, high.value < low.value {
            throw Fault(path: path, message: "the minimum \(low.literal) is above the maximum \(high.literal)")
        }
        node.lengths = try range(members, "minLength", "maxLength", path)
        if let pattern = members["pattern"] {
            let place = path + [.member("pattern")]
            guard let text = pattern.stringValue else { throw Fault(path: place, message: "must be a string") }
            do {
                node.pattern = try Pattern(text)
            } catch {
                throw Fault(path: place, message: error.description)
            }
        }
        if let format = members["format"] {
            guard let name = format.stringValue, let known = JSONSchema.Format(rawValue: name) else {
                throw Fault(
                    path: path + [.member("format")], message: "\(format.canonicalText) is no format that is checked here",
                    hint: "allowed: " + JSONSchema.Format.allCases.map(\.rawValue).joined(separator: ", "))
            }
            node.format = known
        }
    }

    private func list(_ json: JSON, _ path: Path) throws(Fault) -> [JSON] {
        guard let elements = json.arrayValue else { throw Fault(path: path, message: "must be an array") }
        return elements
    }

    private func bound(
        _ members: JSONObject, _ inclusive: String, _ exclusive: String, _ path: Path
    ) throws(Fault) -> JSONSchema.Bound? {
        if members[inclusive] != nil, members[exclusive] != nil {
            throw Fault(path: path, message: "'\(inclusive)' and '\(exclusive)' are both there")
        }
        for (name, isExclusive) in [(inclusive, false), (exclusive, true)] {
            guard let json = members[name] else { continue }
            guard case .number(let literal) = json, let value = DecimalText(literal) else {
                throw Fault(path: path + [.member(name)], message: "must be a number, found \(json.canonicalText)")
            }
            return JSONSchema.Bound(literal: literal, value: value, isExclusive: isExclusive)
        }
        return nil
    }

    private func range(
        _ members: JSONObject, _ low: String, _ high: String, _ path: Path
    ) throws(Fault) -> ClosedRange<Int> {
        var ends = [0, Int.max]
        for (index, name) in [low, high].enumerated() {
            guard let json = members[name] else { continue }
            guard let value = json.int64Value, value >= 0 else {
                throw Fault(path: path + [.member(name)], message: "must be an integer from 0, found \(json.canonicalText)")
            }
            ends[index] = Int(value)
        }
        guard ends[0] <= ends[1] else { throw Fault(path: path, message: "'\(low)' is above '\(high)'") }
        return ends[0]...ends[1]
    }

    private func check(default value: JSON, _ node: Node, _ path: Path) throws(Fault) {
        var validator = SchemaValidator()
        validator.check(value, node, [])
        if let first = validator.violations.first {
            throw Fault(path: path + [.member("default")], message: "breaks the schema's own rule: \(first)")
        }
    }
}
