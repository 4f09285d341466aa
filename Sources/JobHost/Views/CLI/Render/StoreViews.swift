import JobCore
import JobStore

/// `jobhost store check`.
struct StoreCheckView {
    let screen: Screen

    func lines(_ checked: API.StoreChecked) -> [Styled] {
        let width = (checked.findings.map(\.rule.count).max() ?? 0) + 5
        var lines = [Styled(checked.place, .bold) + Styled(checked.hostPid.map { "  served by pid \($0)" } ?? "")]
        for finding in checked.findings {
            let (mark, tone): (String, Tone) =
                switch finding.level {
                case .ok: ("✓", .good)
                case .warn: ("!", .warn)
                case .fail: ("✗", .bad)
                }
            lines += screen.wrapped(
                sentence(finding), finding.level == .ok ? .plain : tone, first: Styled(mark + "  ", tone) + Styled(finding.rule, .bold),
                indent: width)
        }
        return lines + ["", verdict(checked.findings)]
    }

    /// "2 × not: each due time has at most one run: candles at 2026-…, mint at 2026-…"
    private func sentence(_ finding: StoreCheck.Finding) -> String {
        guard finding.count > 0 else { return finding.sentence }
        let more = finding.count - Int64(finding.examples.count)
        let examples = finding.examples + (more > 0 ? ["and \(more) more"] : [])
        return "\(finding.count) × not so: \(finding.sentence): \(examples.joined(separator: "; "))"
    }

    private func verdict(_ findings: [StoreCheck.Finding]) -> Styled {
        let broken = findings.count { $0.level == .fail }
        let warnings = findings.count { $0.level == .warn }
        if broken > 0 { return Styled("\(broken) of \(counted(findings.count, "rule")) broken, \(counted(warnings, "warning"))", .bad) }
        if warnings > 0 { return Styled("no rule is broken, \(counted(warnings, "warning"))", .warn) }
        return Styled("all \(counted(findings.count, "rule")) hold", .good)
    }
}

/// `jobhost store prune`.
struct StorePruneView {
    let screen: Screen

    func lines(_ pruned: API.StorePruned) -> [Styled] {
        var table = Table([
            .init("JOB", yields: [.shrink(2, to: 12)]), .init("RUNS", alignsRight: true), .init("ATTEMPTS", alignsRight: true, yields: [.drop(1)]),
            .init("RANGES", alignsRight: true), .init("ENDED", yields: [.drop(3)]),
        ])
        for share in pruned.jobs {
            let span = share.oldest.flatMap { oldest in share.newest.map { TimeText.span(from: oldest, to: $0) } } ?? ""
            table.add([Styled(share.job, .bold), Styled("\(share.runs)"), Styled("\(share.attempts)"), Styled("\(share.ranges)"), Styled(span)])
        }
        let (runs, ranges) = pruned.jobs.reduce((0, 0)) { ($0.0 + $1.runs, $0.1 + $1.ranges) }
        let what = "\(counted(runs, "run")) and \(counted(ranges, "range"))"
        let total = pruned.jobs.isEmpty ? "nothing is old enough" : pruned.dryRun ? "\(what) would be deleted" : "\(what) deleted"
        var lines = pruned.jobs.isEmpty ? [] : table.lines(width: screen.width)
        lines.append(Styled(total + (pruned.unfinished ? "; stopped before the end" : ""), .bold))
        return lines + notes(pruned).flatMap { screen.wrapped($0, .dim) }
    }

    private func notes(_ pruned: API.StorePruned) -> [String] {
        var notes: [String] = []
        if pruned.ofOtherHosts > 0 {
            notes.append("\(counted(pruned.ofOtherHosts, "run")) of other living hosts left to them, which have the logs")
        }
        if !pruned.notInConfig.isEmpty {
            let list = pruned.notInConfig.sorted { $0.key < $1.key }.map { "\($0.value) of \($0.key)" }
            notes.append("kept, since the config has no such job: \(list.joined(separator: ", ")); --older-than deletes them too")
        }
        if let free = pruned.freeBytes {
            notes.append("\(free >> 20) MB of the file are free for new rows; it does not shrink (VACUUM, with the host stopped, makes it)")
        } else {
            notes.append("autovacuum makes the space free for new rows")
        }
        notes.append(
            "never deleted: what waits or runs, counters, cursors, breakers, operators' decisions, jobs' states, the newest \(Kept.audit) entries of the audit")
        return notes
    }
}
