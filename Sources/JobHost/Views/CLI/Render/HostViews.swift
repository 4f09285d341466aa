import JobConfig
import JobCore

/// `jobhost reload`, `plan` and `check`.
struct ReportView {
    enum Kind { case reload, plan, check }
    let screen: Screen
    let kind: Kind

    func lines(_ report: API.Report) -> [Styled] {
        var lines = [headline(report)]
        for error in report.errors { lines += screen.wrapped(error, .bad, first: Styled("✗  ", .bad), indent: 3) }
        for warning in report.warnings { lines += screen.wrapped(warning, .warn, first: Styled("!  ", .warn), indent: 3) }
        guard report.accepted else { return lines }
        lines += changes(report.plugins, noun: "plugin") + changes(report.jobs, noun: "job")
        return lines
    }

    private func headline(_ report: API.Report) -> Styled {
        let time = Styled("  \(report.durationMs)ms", .dim)
        let isPartial = report.accepted && !report.clean
        switch kind {
        case .reload:
            if !report.accepted { return Styled("reload refused", .bad) + Styled(": generation \(report.generation) goes on untouched") + time }
            return Styled(isPartial ? "reloaded in part" : "reloaded", isPartial ? .warn : .good)
                + Styled(": generation \(report.generation) serves") + time
        case .plan:
            if !report.accepted { return Styled("a reload would be refused", .bad) + time }
            let count = report.jobs.filter { $0.change != .kept }.count + report.plugins.filter { $0.change != .kept }.count
            return Styled(count == 0 ? "a reload would change nothing" : "a reload would", isPartial ? .warn : .good) + time
        case .check:
            if !report.accepted { return Styled("the config has \(counted(Int64(report.errors.count), "error"))", .bad) + time }
            return Styled(isPartial ? "the config is valid, but not all of it would serve" : "the config is valid", isPartial ? .warn : .good)
                + Styled(": \(counted(Int64(report.jobs.count), "job")), \(counted(Int64(report.plugins.count), "plugin"))") + time
        }
    }

    private func changes(_ all: [API.ReportLine], noun: String) -> [Styled] {
        var table = Table([.init(""), .init(""), .init("", least: 20)], indent: 2)
        let hidesAdded = kind == .check
        for line in all where line.change != .kept && !(hidesAdded && line.change == .added) {
            table.add([label(line.change, noun), Styled(line.name, .bold), ""])
        }
        // Details may be long and are what is needed here: wrapped below, never cut.
        var lines: [Styled] = []
        let labels = table.lines(width: nil)
        let shown = all.filter { $0.change != .kept && !(hidesAdded && $0.change == .added) }
        let indent = (labels.map(\.width).max() ?? 0) + 2
        for (line, start) in zip(shown, labels) {
            lines += line.detail.isEmpty
                ? [start] : screen.wrapped(line.detail, line.change == .refused ? .bad : .plain, first: start, indent: indent)
        }
        let kept = all.filter { $0.change == .kept }.count
        if kept > 0, kind != .check { lines.append(Styled("  \(counted(Int64(kept), noun)) kept", .dim)) }
        return lines
    }

    private func label(_ change: ReloadReport.Change, _ noun: String) -> Styled {
        switch change {
        case .added: Styled("+ add \(noun)", .good)
        case .removed: Styled("- remove \(noun)", .warn)
        case .changed: Styled("~ change \(noun)", .accent)
        case .kept: Styled("= keep \(noun)", .dim)
        case .refused: Styled("✗ refuse \(noun)", .bad)
        }
    }
}

/// `jobhost doctor`.
struct DoctorView {
    let screen: Screen

    func lines(_ findings: [Doctor.Finding]) -> [Styled] {
        let width = (findings.map(\.name.count).max() ?? 0) + 5
        var lines: [Styled] = []
        for finding in findings {
            let (mark, tone): (String, Tone) =
                switch finding.level {
                case .ok: ("✓", .good)
                case .warn: ("!", .warn)
                case .fail: ("✗", .bad)
                }
            lines += screen.wrapped(
                finding.sentence, finding.level == .ok ? .plain : tone, first: Styled(mark + "  ", tone) + Styled(finding.name, .bold),
                indent: width)
        }
        let faults = findings.filter { $0.level == .fail }.count
        let warnings = findings.filter { $0.level == .warn }.count
        let verdict: Styled =
            faults > 0
            ? Styled("\(counted(Int64(faults), "fault")), \(counted(Int64(warnings), "warning"))", .bad)
            : warnings > 0 ? Styled("\(counted(Int64(warnings), "warning")), no fault", .warn) : Styled("all is well", .good)
        return lines + ["", verdict]
    }
}

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
            fields.add("  settings", settings(entry.settingsSchema))
            lines += fields.lines
        }
        return lines
    }

    /// The names of a schema's properties with their types.
    private func settings(_ schema: JSONValue) -> String {
        guard case .object(let properties)? = schema["properties"] else { return "" }
        let required = Set((schema["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        return properties.sorted { $0.key < $1.key }.map { name, property in
            let type = property["type"]?.stringValue.map { " \($0)" } ?? ""
            return name + type + (required.contains(name) ? " (required)" : "")
        }.joined(separator: ", ")
    }
}
