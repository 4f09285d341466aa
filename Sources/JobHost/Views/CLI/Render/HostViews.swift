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
        return lines + changes(report.host.map { ("key", $0) } + report.plugins.map { ("plugin", $0) } + report.jobs.map { ("job", $0) }) + kept(report)
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
            let changes = (report.host + report.plugins + report.jobs).contains { $0.change != .kept }
            return Styled(changes ? "a reload would:" : "a reload would change nothing", isPartial ? .warn : .good) + time
        case .check:
            if !report.accepted { return Styled("the config has \(counted(report.errors.count, "error"))", .bad) + time }
            return Styled(isPartial ? "the config is valid, but not all of it would serve" : "the config is valid", isPartial ? .warn : .good)
                + Styled(": \(counted(report.jobs.count, "job")), \(counted(report.plugins.count, "plugin"))") + time
        }
    }

    private func changes(_ all: [(noun: String, line: API.ReportLine)]) -> [Styled] {
        // To a check everything is new: only what would not serve is news.
        let shown = all.filter { kind == .check ? $0.line.change == .refused : $0.line.change != .kept }
        var table = Table([.init(""), .init("")], indent: 2)
        for (noun, line) in shown { table.add([label(line.change, noun), Styled(line.name, .bold)]) }
        // Details may be long and are what is needed here: wrapped, never cut.
        let starts = table.lines(width: nil)
        let indent = (starts.map(\.width).max() ?? 0) + 2
        return zip(shown, starts).flatMap { item, start in
            let tone: Tone = item.line.change == .refused ? .bad : .plain
            return item.line.detail.isEmpty ? [start] : screen.wrapped(item.line.detail, tone, first: start, indent: indent)
        }
    }

    private func kept(_ report: API.Report) -> [Styled] {
        guard kind != .check else { return [] }
        let jobs = report.jobs.filter { $0.change == .kept }.count
        return jobs == 0 ? [] : [Styled("  \(counted(jobs, "job")) kept", .dim)]
    }

    private func label(_ change: ReloadReport.Change, _ noun: String) -> Styled {
        let isPlan = kind == .plan
        return switch change {
        case .added: Styled(isPlan ? "+ add \(noun)" : "+ \(noun) added", .good)
        case .removed: Styled(isPlan ? "- remove \(noun)" : "- \(noun) removed", .warn)
        case .changed: Styled(isPlan ? "~ change \(noun)" : "~ \(noun) changed", .accent)
        case .kept: Styled(isPlan ? "= keep \(noun)" : "= \(noun) kept", .dim)
        case .refused: Styled(isPlan ? "✗ refuse \(noun)" : "✗ \(noun) refused", .bad)
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
            ? Styled("\(counted(faults, "fault")), \(counted(warnings, "warning"))", .bad)
            : warnings > 0 ? Styled("\(counted(warnings, "warning")), no fault", .warn) : Styled("all is well", .good)
        return lines + ["", verdict]
    }
}
