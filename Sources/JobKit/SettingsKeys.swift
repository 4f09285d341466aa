import JobJSON

/// The one rule by which settings are named: a Swift property `maxOrdersPerRun` is the key
/// `max_orders_per_run`. A capital begins a word, a run of capitals is one (`chainID`: `chain_id`);
/// a name without capitals stays as it is. What is coded by keys of its own (free keys of a
/// dictionary, payloads, events) is not renamed.
func settingsKey(_ name: String) -> String {
    let letters = Array(name.utf8)
    var key: [UInt8] = []
    for (index, letter) in letters.enumerated() {
        guard isCapital(letter) else {
            key.append(letter)
            continue
        }
        let follows = index > 0 && letters[index - 1] != UInt8(ascii: "_") && !isCapital(letters[index - 1])
        let precedes = index > 0 && isCapital(letters[index - 1]) && index + 1 < letters.count && isLower(letters[index + 1])
        if follows || precedes { key.append(UInt8(ascii: "_")) }
        key.append(letter | 0x20)
    }
    return String(decoding: key, as: UTF8.self)
}

private func isCapital(_ letter: UInt8) -> Bool { letter >= UInt8(ascii: "A") && letter <= UInt8(ascii: "Z") }
private func isLower(_ letter: UInt8) -> Bool { letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z") }

extension SchemaNode {
    /// Names all properties by the rule, also those of elements.
    func nameBySettingsRule() {
        switch kind {
        case .object(var properties):
            for index in properties.indices {
                properties[index].key = settingsKey(properties[index].coded)
                properties[index].node.nameBySettingsRule()
            }
            kind = .object(properties)
        case .array(let element), .map(let element): element.nameBySettingsRule()
        case .any, .string, .boolean, .number, .integer, .choice, .described: break
        }
    }

    /// A value as the type codes it, with the keys as one writes them.
    func shown(_ value: JSON) -> JSON { renamed(value, from: \.coded, to: \.key) }

    /// … and back.
    func coded(_ value: JSON) -> JSON { renamed(value, from: \.key, to: \.coded) }

    private func renamed(_ value: JSON, from old: KeyPath<Property, String>, to new: KeyPath<Property, String>) -> JSON {
        switch (kind, value) {
        case (.object(let properties), .object(let object)):
            return .object(JSONObject(object.members.map { member in
                guard let property = properties.first(where: { $0[keyPath: old] == member.key }) else {
                    return (member.key, member.value)
                }
                return (property[keyPath: new], property.node.renamed(member.value, from: old, to: new))
            }))
        case (.map(let element), .object(let object)):
            return .object(JSONObject(object.members.map { ($0.key, element.renamed($0.value, from: old, to: new)) }))
        case (.array(let element), .array(let elements)):
            return .array(elements.map { element.renamed($0, from: old, to: new) })
        default: return value
        }
    }

    /// A coding path with the keys as one writes them.
    func shown(_ path: [any CodingKey]) -> [any CodingKey] {
        guard let first = path.first else { return [] }
        let rest = Array(path.dropFirst())
        switch kind {
        case .object(let properties):
            guard let property = properties.first(where: { $0.coded == first.stringValue }) else { return path }
            return [ShownKey(stringValue: property.key)] + property.node.shown(rest)
        case .map(let element), .array(let element): return [first] + element.shown(rest)
        default: return path
        }
    }
}

private struct ShownKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
