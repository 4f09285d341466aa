import JobCore
import JobJSON
import NearestName

extension JSONSchema {
    /// Every rule that `value` breaks, in the order of the schema's names; empty: none. At
    /// most 100 are reported.
    public func validate(_ value: JSON) -> [Violation] {
        var validator = SchemaValidator()
        validator.check(value, root, [])
        return validator.violations
    }

    /// The same for a table of the config, with the places of keys and values, in their order. Values that
    /// are secret are not shown. `name` ("settings of job 'x'") begins each message; `place`
    /// serves where the table itself has no position (it is not in the file).
    public func validate(_ table: ConfigTable, name: String, place: SourcePosition?) -> [ConfigError] {
        let value = ConfigValue(.table(table), at: table.position ?? place ?? SourcePosition(file: "", line: 0, column: 0))
        var validator = SchemaValidator()
        validator.secret = { value.secret(at: $0) }
        validator.check(table.json, root, [])
        let errors = validator.violations.map { violation in
            ConfigError(
                position: value.position(of: violation.path, ofName: violation.isAboutName) ?? table.position ?? place,
                message: "\(name): \(violation.path.isEmpty ? "" : "'\(JSONSchema.text(of: violation.path))' ")\(violation.message)",
                hint: violation.hint)
        }
        return errors.sorted { a, b in
            guard let p = a.position, let q = b.position else { return a.position == nil && b.position != nil }
            return (p.file, p.line, p.column, a.message) < (q.file, q.line, q.column, b.message)
        }
    }
}

struct SchemaValidator {
    typealias Node = JSONSchema.Node
    typealias Path = [JSONSchema.PathPart]

    private(set) var violations: [JSONSchema.Violation] = []
    /// What to show instead of a value; nil: the value.
    var secret: (Path) -> String? = { _ in nil }

    private mutating func report(_ path: Path, _ message: String, hint: String? = nil, isAboutName: Bool = false) {
        guard violations.count < 100 else { return }
        violations.append(.init(path: path, message: message, hint: hint, isAboutName: isAboutName))
    }

    private func shown(_ value: JSON, _ path: Path) -> String {
        if let secret = secret(path) { return secret }
        switch value {
        case .array: return "an array"
        case .object: return "an object"
        default:
            let text = value.text
            return text.utf8.count <= 80 ? text : String(text.prefix(77)) + "…"
        }
    }

    mutating func check(_ value: JSON, _ node: Node, _ path: Path) {
        guard node.types.isEmpty || node.types.contains(where: { $0.matches(value) }) else {
            let allowed = node.types.map(\.withArticle).joined(separator: " or ")
            return report(path, "must be \(allowed), found \(shown(value, path))")
        }
        if let allowed = node.allowed, !allowed.contains(where: { $0.isSame(as: value) }) {
            return reportNotAllowed(value, allowed, path)
        }
        switch value {
        case .number(let literal): checkNumber(literal, node, path)
        case .string(let text): checkString(text, node, path)
        case .array(let elements): checkArray(elements, node, path)
        case .object(let members): checkObject(members, node, path)
        case .null, .bool: break
        }
    }

    private mutating func reportNotAllowed(_ value: JSON, _ allowed: [JSON], _ path: Path) {
        let list = allowed.prefix(20).map(\.canonicalText).joined(separator: ", ") + (allowed.count > 20 ? ", …" : "")
        var hint: String?
        if let text = value.stringValue, secret(path) == nil, let near = nearestName(text, among: allowed.compactMap(\.stringValue)) {
            hint = "did you mean \"\(near)\"?"
        }
        report(path, "must be \(allowed.count > 1 ? "one of " : "")\(list), found \(shown(value, path))", hint: hint)
    }

    private mutating func checkNumber(_ literal: String, _ node: Node, _ path: Path) {
        guard let value = DecimalText(literal) else { return }
        if let low = node.minimum, value < low.value || (low.isExclusive && value == low.value) {
            report(path, "must be \(low.isExclusive ? "above" : "at least") \(low.literal), found \(shown(.number(literal), path))")
        }
        if let high = node.maximum, high.value < value || (high.isExclusive && value == high.value) {
            report(path, "must be \(high.isExclusive ? "below" : "at most") \(high.literal), found \(shown(.number(literal), path))")
        }
    }

    private mutating func checkString(_ text: String, _ node: Node, _ path: Path) {
        if node.lengths != 0...Int.max {
            // Characters are code points (JSON Schema Validation §6.3).
            let length = text.unicodeScalars.count
            let found = secret(path) ?? String(length)
            if length < node.lengths.lowerBound {
                report(path, "must have at least \(node.lengths.lowerBound) characters, found \(found)")
            } else if length > node.lengths.upperBound {
                report(path, "must have at most \(node.lengths.upperBound) characters, found \(found)")
            }
        }
        if let pattern = node.pattern, !pattern.matches(text) {
            report(path, "must match the pattern \(pattern.text), found \(shown(.string(text), path))")
        }
        guard let format = node.format else { return }
        switch format {
        case .duration:
            if parseDuration(text) == nil {
                report(path, "must be a duration such as \"45s\", found \(shown(.string(text), path))", hint: durationUnitsHint)
            }
        case .instant:
            if Instant(rfc3339: text) == nil {
                report(path, "must be an instant such as \"2027-01-01T00:00:00Z\", found \(shown(.string(text), path))")
            }
        case .decimal:
            if DecimalText(text) == nil || text.utf8.count > 200 {
                report(path, "must be a decimal number such as \"0.25\", found \(shown(.string(text), path))")
            }
        }
    }

    private mutating func checkArray(_ elements: [JSON], _ node: Node, _ path: Path) {
        if elements.count < node.counts.lowerBound {
            report(path, "must have at least \(node.counts.lowerBound) elements, found \(elements.count)")
        } else if elements.count > node.counts.upperBound {
            report(path, "must have at most \(node.counts.upperBound) elements, found \(elements.count)")
        }
        guard let item = node.items.first else { return }
        for (index, element) in elements.enumerated() { check(element, item, path + [.element(index)]) }
    }

    private mutating func checkObject(_ members: JSONObject, _ node: Node, _ path: Path) {
        for name in node.required where members[name] == nil {
            report(path, "lacks '\(name)', which is required", hint: missingHint(name, members, node))
        }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            if let property = node.properties[name] {
                check(value, property, path + [.member(name)])
            } else if let additional = node.additional.first {
                check(value, additional, path + [.member(name)])
            } else if !node.allowsAdditional {
                report(
                    path + [.member(name)], "is no known key", hint: nameHint(name, among: Array(node.properties.keys)), isAboutName: true)
            }
        }
    }

    /// A required name that is missing is often there, misspelt.
    private func missingHint(_ name: String, _ members: JSONObject, _ node: Node) -> String? {
        nearestName(name, among: members.keys.sorted().filter { node.properties[$0] == nil }).map { "found '\($0)'" }
    }
}

extension JSONSchema.SchemaType {
    func matches(_ value: JSON) -> Bool {
        switch (self, value) {
        case (.null, .null), (.boolean, .bool), (.number, .number), (.string, .string), (.array, .array), (.object, .object): true
        case (.integer, .number(let literal)): DecimalText(literal)?.isInteger ?? false
        default: false
        }
    }

    var withArticle: String {
        switch self {
        case .null: "null"
        case .integer, .array, .object: "an \(rawValue)"
        case .boolean: "true or false"
        case .number, .string: "a \(rawValue)"
        }
    }
}
