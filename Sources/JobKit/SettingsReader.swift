import JobJSON

/// What is wrong with settings: every fault, one sentence each.
struct SettingsFault: Error, CustomStringConvertible {
    var problems: [String]
    var description: String { problems.joined(separator: "; ") }
}

/// Reads a job's settings: the given keys over the defaults of `init()`, checked against the
/// types and fields before decoding, so that all faults are told at once and with names.
struct SettingsReader<S: JobSettings> {
    let node: SchemaNode
    private let defaults: JSON

    init() {
        // Settings that cannot be encoded have no defaults to show; decoding says the rest.
        defaults = (try? JSON(encoding: S())) ?? .object(JSONObject())
        node = SchemaNode.of(S.self, value: defaults, depth: 0)
        // A struct without properties asks its decoder for nothing.
        if case .any = node.kind { node.kind = .object([]) }
        node.nameBySettingsRule()
        for field in S.fields {
            let path = field.name.split(separator: ".")
            path.reduce(node) { $0?.property(String($1)) }?.field = field
        }
    }

    func read(_ bytes: [UInt8]) throws -> S {
        let given: JSON
        do {
            given = try JSON(parsing: bytes.isEmpty ? Array("{}".utf8) : bytes, limits: .wide)
        } catch {
            throw SettingsFault(problems: [describe(error)])
        }
        var check = SettingsCheck()
        check.check(given, node, path: "")
        guard check.problems.isEmpty else { throw SettingsFault(problems: check.problems) }
        do {
            return try node.coded(Self.overlay(given, on: node.shown(defaults), node)).decode(S.self)
        } catch {
            throw SettingsFault(problems: [describe(error) { node.shown($0) }])
        }
    }

    /// Objects with known keys merge; everything else is replaced.
    private static func overlay(_ given: JSON, on defaults: JSON, _ node: SchemaNode) -> JSON {
        guard case .object(let members) = given, case .object(var result) = defaults, case .object = node.kind else {
            return given
        }
        for member in members.members {
            if let base = result[member.key], let child = node.property(member.key) {
                result[member.key] = overlay(member.value, on: base, child)
            } else {
                result[member.key] = member.value
            }
        }
        return .object(result)
    }
}

/// Collects what does not fit, with the path of each.
private struct SettingsCheck {
    var problems: [String] = []

    private mutating func report(_ path: String, _ text: String) {
        problems.append(path.isEmpty ? text : "\(path): \(text)")
    }

    mutating func check(_ value: JSON, _ node: SchemaNode, path: String) {
        switch (node.kind, value) {
        case (_, .null) where !path.isEmpty: break
        case (.object(let properties), .object(let object)): members(object, properties, path)
        case (.map(let element), .object(let object)):
            for member in object.members { check(member.value, element, path: join(path, member.key)) }
        case (.array(let element), .array(let elements)):
            for (index, item) in elements.enumerated() { check(item, element, path: "\(path)[\(index)]") }
        case (.choice(let allowed), _) where !isOne(of: allowed, value):
            report(path, "\(value.text) is not allowed\(oneOf(allowed))")
        case (.object, _), (.map, _): report(path, "an object was expected, not \(value.kindName)")
        case (.array, _): report(path, "an array was expected, not \(value.kindName)")
        default: break
        }
        if let field = node.field { range(value, field, path) }
    }

    private mutating func members(_ object: JSONObject, _ properties: [SchemaNode.Property], _ path: String) {
        for member in object.members {
            if let property = properties.first(where: { $0.key == member.key }) {
                check(member.value, property.node, path: join(path, member.key))
            } else {
                let known = properties.map(\.key)
                let hint =
                    nearest(member.key, in: known).map { "did you mean '\($0)'?" }
                    ?? (known.isEmpty ? "there is nothing to set" : "known: \(known.joined(separator: ", "))")
                report("", "unknown setting '\(join(path, member.key))' (\(hint))")
            }
        }
    }

    private mutating func range(_ value: JSON, _ field: SettingsField, _ path: String) {
        if !field.allowed.isEmpty, !isOne(of: field.allowed, value) {
            report(path, "\(value.text) is not allowed\(oneOf(field.allowed))")
        }
        guard case .number(let text) = value, let number = DecimalText(text) else { return }
        let low = field.minimum.flatMap { DecimalText($0.text) }
        let high = field.maximum.flatMap { DecimalText($0.text) }
        guard number < low ?? number || number > high ?? number else { return }
        let limits = [field.minimum.map { "at least \($0.text)" }, field.maximum.map { "at most \($0.text)" }]
        report(path, "\(text) is out of range (\(limits.compactMap(\.self).joined(separator: ", ")))")
    }

    /// Numbers by value, as in the schema that the host checks.
    private func isOne(of allowed: [JSON], _ value: JSON) -> Bool { allowed.contains { $0.isSame(as: value) } }
    private func oneOf(_ allowed: [JSON]) -> String {
        " (one of \(allowed.map(\.text).joined(separator: ", ")))"
    }
    private func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

/// The name one probably meant: at most a third of its letters away (Levenshtein distance). Of its own, since whoever
/// builds a plugin by hand links the kit with JobJSON and nothing else of the host's.
func nearest(_ name: String, in names: [String]) -> String? {
    let ranked = names.map { (name: $0, distance: editDistance(name, $0)) }.min { $0.distance < $1.distance }
    guard let best = ranked, best.distance <= max(1, best.name.count / 3) else { return nil }
    return best.name
}

private func editDistance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0 ... b.count)
    for (i, letter) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            let replaced = diagonal + (letter == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
        }
    }
    return row[b.count]
}
