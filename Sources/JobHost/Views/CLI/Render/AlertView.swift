import JobCore

/// `jobhost alert`.
struct AlertView {
    let screen: Screen

    func lines(_ alerts: API.Alerts) -> [Styled] {
        var lines: [Styled] = []
        for alert in alerts.alerts {
            let tone: Tone = alert.severity == .critical ? .bad : .warn
            let text = "\(alert.text) (since \(TimeText.relative(alert.since, now: screen.now))). See: \(alert.hint)"
            lines += screen.wrapped(text, tone, first: Styled("!  ", tone), indent: 3)
        }
        if alerts.alerts.isEmpty { lines += screen.wrapped("Nothing is wrong.") }
        guard !alerts.receivers.isEmpty else {
            return lines + screen.wrapped("Nobody is told: name webhooks or a command in [alerts].")
        }
        return lines + [""] + receivers(alerts.receivers, reached: "is told")
    }

    func receivers(_ receivers: [API.AlertReceiver], reached: String) -> [Styled] {
        receivers.flatMap { receiver -> [Styled] in
            let isGood = receiver.problem == nil
            let waiting = receiver.waiting > 0 ? ", \(counted(receiver.waiting, "message")) waiting" : ""
            let lost = receiver.lost > 0 ? ", \(counted(receiver.lost, "message")) given up" : ""
            let text = "\(receiver.name) \(receiver.problem.map { "does not take it: \($0)" } ?? reached)\(waiting)\(lost)"
            return screen.wrapped(text, isGood ? .good : .bad, first: Styled(isGood ? "●  " : "!  ", isGood ? .good : .bad), indent: 3)
        }
    }
}
