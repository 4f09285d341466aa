import JobCore

extension Attempt {
    /// The verdict on a result frame.
    ///
    /// What the plugin says stands, also after the cancel flag: a run that succeeded in its
    /// grace has succeeded. Only CANCELLED is read in the light of what raised the flag: the
    /// limit (timed_out) or somebody's wish (cancelled).
    static func judge(_ result: RunResult, cause: Cause?, limits: Limits, now: Now) -> Ending {
        var ending = Ending(outcome: outcome(of: result.code, cause: cause), reason: result.text, result: result, cpu: result.cpu)
        switch result.code {
        case .succeeded, .nothingToDo: break
        case .retry:
            if let wish = result.retryNotBefore, wish > now.wall { bound(wish, &ending.retryNotBefore, &ending.reason, now) }
            explainFlag(cause, &ending)
        case .failed:
            explainFlag(cause, &ending)
        case .badSettings:
            ending.badSettings = true
            if ending.reason.isEmpty { ending.reason = "the entry refused its settings" }
        case .snooze:
            bound(max(result.snoozeUntil ?? now.wall, now.wall), &ending.snoozeUntil, &ending.reason, now)
        case .cancelled:
            ending.reason = cancelledSentence(cause, text: result.text)
        }
        ending.state = ending.commitsEnqueues ? result.stateOnSuccess ?? result.stateAlways : result.stateAlways
        return ending
    }

    private static func outcome(of code: ResultCode, cause: Cause?) -> Outcome {
        switch code {
        case .succeeded: .succeeded
        case .nothingToDo: .nothingToDo
        case .retry: .retry
        case .failed, .badSettings: .failed
        case .snooze: .snoozed
        case .cancelled: cause?.isLimit == true ? .timedOut : .cancelled
        }
    }

    /// A wish of the plugin, never further away than `furthest`; a shortened one is said.
    private static func bound(_ wish: Instant, _ field: inout Instant?, _ reason: inout String, _ now: Now) {
        let latest = now.wall + furthest
        field = min(wish, latest)
        guard wish > latest else { return }
        if !reason.isEmpty { reason += "; " }
        reason += "asked for a time more than \(brief(furthest)) away: shortened to that"
    }

    private static func explainFlag(_ cause: Cause?, _ ending: inout Ending) {
        let note: String
        switch cause {
        case .timeout(let limit): note = "after its limit of \(brief(limit))"
        case .heartbeat(let limit): note = "after no progress for \(brief(limit))"
        case .cancel(let reason): note = "after the cancel flag (\(reason.rawValue))"
        case .memory, .cpu, .wire, nil: return
        }
        ending.reason = ending.reason.isEmpty ? note : "\(ending.reason) (\(note))"
    }

    private static func cancelledSentence(_ cause: Cause?, text: String) -> String {
        let why: String
        switch cause {
        case .timeout(let limit): why = "no result within \(brief(limit)); it stopped when asked"
        case .heartbeat(let limit): why = "no progress for \(brief(limit)); it stopped when asked"
        case .cancel(let reason): why = reason.rawValue
        case .memory, .cpu, .wire, nil: return text.isEmpty ? "the plugin cancelled itself" : text
        }
        return text.isEmpty ? why : "\(why): \(text)"
    }
}
