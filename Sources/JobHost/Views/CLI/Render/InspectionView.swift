import JobCore
import JobJSON

/// `jobhost plugin inspect`.
struct InspectionView {
    let screen: Screen

    func lines(_ plugin: API.Inspection) -> [Styled] {
        var lines = [Styled(plugin.id, .bold) + Styled("  \(plugin.version)")]
        if !plugin.description.isEmpty { lines += screen.wrapped(plugin.description) }
        var fields = FieldsView(screen: screen)
        fields.add("file", plugin.file)
        fields.add("sha256", plugin.sha256)
        fields.add("abi", "\(plugin.abi)")
        lines += fields.lines
        for entry in plugin.entries {
            lines += ["", Styled(entry.id, .bold) + Styled("  \(entry.description)")]
            var fields = FieldsView(screen: screen)
            fields.add("  runs twice safely", entry.idempotent ? "yes (idempotent)" : "no")
            fields.add("  can be cancelled", entry.cancellable ? "yes" : "no")
            fields.add("  default schedule", entry.defaultSchedule)
            lines += fields.lines
            lines += properties("settings", entry.settingsSchema) + properties("payload", entry.payloadSchema)
        }
        return lines
    }

    /// The properties of a schema (JSON Schema, draft 2020-12), each with what is allowed and
    /// what it is when it is not given.
    private func properties(_ title: String, _ schema: JSON) -> [Styled] {
        guard case .object(let properties)? = schema["properties"], !properties.isEmpty else { return [] }
        let required = Set((schema["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        let sorted = properties.sorted { $0.key < $1.key }
        let width = sorted.map(\.key.count).max() ?? 0
        return [Styled("  \(title)", .dim)] + sorted.flatMap { name, property in
            screen.wrapped(
                text(property, isRequired: required.contains(name)), first: Styled("    ") + Styled(name, .bold), indent: width + 6)
        }
    }

    /// "integer 1 … 500; default 100. Most in one run."
    private func text(_ property: JSON, isRequired: Bool) -> String {
        var parts = [allowed(property)]
        if isRequired { parts.append("required") }
        if let fallback = property["default"] { parts.append("default \(fallback.canonicalText)") }
        let rule = parts.filter { !$0.isEmpty }.joined(separator: "; ")
        guard let description = property["description"]?.stringValue, !description.isEmpty else { return rule }
        return rule.isEmpty ? description : "\(rule). \(description)"
    }

    private func allowed(_ property: JSON) -> String {
        if let words = property["enum"]?.arrayValue { return words.map(\.canonicalText).joined(separator: ", ") }
        if let constant = property["const"] { return constant.canonicalText }
        let types = (property["type"]?.arrayValue ?? [property["type"]].compactMap(\.self)).compactMap(\.stringValue)
        let type = property["format"]?.stringValue ?? types.joined(separator: " or ")
        return [type, range(property)].filter { !$0.isEmpty }.joined(separator: " ")
    }

    private func range(_ property: JSON) -> String {
        func bound(_ inclusive: String, _ exclusive: String, _ word: String) -> String? {
            property[inclusive]?.canonicalText ?? property[exclusive].map { "\(word) \($0.canonicalText)" }
        }
        switch (bound("minimum", "exclusiveMinimum", "above"), bound("maximum", "exclusiveMaximum", "below")) {
        case (let least?, let most?): return "\(least) … \(most)"
        case (let least?, nil): return least.hasPrefix("above") ? least : "from \(least)"
        case (nil, let most?): return most.hasPrefix("below") ? most : "up to \(most)"
        case (nil, nil): return ""
        }
    }
}
