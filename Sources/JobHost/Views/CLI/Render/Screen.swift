import JobCore

/// Where a command's output goes: how wide, in colour or not, and what time it is there.
struct Screen: Sendable {
    /// nil: not a terminal, lines are as long as they get.
    var width: Int?
    var color: Bool
    var now: Instant

    func text(_ lines: [Styled]) -> String {
        lines.map { line in
            let text = line.text(color: color)
            return text.last == " " ? String(text.reversed().drop { $0 == " " }.reversed()) : text
        }.joined(separator: "\n") + "\n"
    }

    /// Words broken into lines, the further ones indented. What does not fit is never cut. `first`
    /// stands before the first line.
    func wrapped(_ text: String, _ tone: Tone = .plain, first: Styled = "", indent: Int = 0) -> [Styled] {
        guard let width else { return [first.padded(to: indent) + Styled(withoutTies(text), tone)] }
        var lines: [String] = [""]
        var room: Int { max(20, width - (lines.count == 1 ? max(indent, first.width) : indent)) }
        for word in harmless(text).split(separator: " ") {
            let last = lines[lines.count - 1]
            if last.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if last.count + 1 + word.count <= room {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(String(word))
            }
        }
        let margin = Styled(String(repeating: " ", count: indent))
        return lines.enumerated().map { index, line in
            (index == 0 ? first.padded(to: indent) : margin) + Styled(withoutTies(line), tone)
        }
    }
}

/// A command to be copied: `wrapped` does not break it.
func command(_ words: String) -> String { "jobhost \(words)".replacing(" ", with: "\u{A0}") }

private func withoutTies(_ text: String) -> String { text.replacing("\u{A0}", with: " ") }

extension Outcome {
    var mark: Styled {
        switch self {
        case .succeeded: Styled("✓", .good)
        case .nothingToDo: Styled("·", .dim)
        case .failed: Styled("✗", .bad)
        case .retry: Styled("r", .warn)
        case .snoozed: Styled("z", .dim)
        case .cancelled: Styled("c", .warn)
        case .timedOut: Styled("T", .bad)
        case .crashed: Styled("!", .bad)
        case .lost: Styled("?", .bad)
        }
    }

    var tone: Tone {
        switch self {
        case .succeeded: .good
        case .nothingToDo, .snoozed: .dim
        case .retry, .cancelled: .warn
        case .failed, .timedOut, .crashed, .lost: .bad
        }
    }

    /// "nothing to do"
    var words: String { wordsOf(rawValue) }
}

extension RunState {
    var tone: Tone {
        switch self {
        case .running: .accent
        case .succeeded: .good
        case .discarded: .bad
        case .retryable, .cancelled, .missed: .warn
        case .scheduled, .available, .skipped: .dim
        }
    }
}

extension NoRunReason {
    /// "breaker open": why no run came of a fire.
    var words: String {
        switch self {
        case .overlap: "earlier run not ended"
        case .breaker: "breaker open"
        case .paused: "paused"
        case .calendar: "calendar closed"
        case .disabled: "disabled"
        case .reload: "changed by a reload"
        case .expired: "expired before it began"
        case .window: "older than the catch-up window"
        case .policy: "not chosen by catch-up"
        case .clock: "the clock jumped"
        }
    }
}

/// How far a run says it is.
enum ProgressText {
    /// " 25% accounts"
    static func short(_ run: API.RunningRun) -> String {
        let text = run.text.isEmpty ? "" : " \(run.text)"
        if let percent = percent(run) { return " \(percent)%\(text)" }
        return run.done > 0 ? " \(run.done)\(text)" : text
    }

    /// "30 of 120 (25%) accounts"
    static func long(_ run: API.RunningRun) -> String {
        let text = run.text.isEmpty ? "" : " \(run.text)"
        if let percent = percent(run) { return "\(run.done) of \(run.total) (\(percent)%)\(text)" }
        return run.done > 0 ? "\(run.done)\(text)" : run.text
    }

    private static func percent(_ run: API.RunningRun) -> Int? {
        guard run.total > 0 else { return nil }
        return Int(Double(min(run.done, run.total)) / Double(run.total) * 100)
    }
}

func wordsOf(_ rawValue: String) -> String { String(rawValue.map { $0 == "_" ? " " : $0 }) }

/// "1 run", "3 runs", "3 successes".
func counted(_ count: some BinaryInteger, _ noun: String, plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}
