import JobCore

/// The host watches what must move on by itself: an answer of the store that a cursor or a queue
/// waits for, the renewal of leases, a worker that has been sent runs. Whatever shows the same
/// mark for longer than its patience stands still: it is told, repaired by the shell, and told
/// again after as long if that did not help; it stands until its mark moves. Pure; look every few seconds.
struct StandstillCheck {
    enum Kind: String, CaseIterable {
        /// A transaction of a job's cursor is under way. The mark is the cursor.
        case cursor
        /// The store has been asked for waiting runs. The mark is how many such questions it has answered.
        case queue
        /// Attempts are under way. The mark is when their leases were last renewed.
        case lease
        /// A worker has been sent runs and begins none. The mark is how many it has done.
        case worker

        /// Leases last for a minute and are renewed every 20 s.
        var patience: Duration {
            switch self {
            case .cursor, .queue, .worker: .seconds(60)
            case .lease: .seconds(45)
            }
        }
    }
    struct Subject: Hashable {
        var kind: Kind
        /// Of the job, or the worker's process; "": there is one only.
        var name = ""
        var mark: Int64
        /// false: nothing waits for it now; whether it still stands is seen by its mark.
        var isWaiting = true
    }
    struct Fault: Equatable {
        var subject: Subject
        /// A sentence for log and health, without what is done about it.
        var sentence: String
    }

    private struct Key: Hashable {
        var kind: Kind
        var name: String
    }
    private struct State {
        var since: MonotonicInstant
        var told: MonotonicInstant
        var subject: Subject
        /// nil: it does not stand still.
        var sentence: String?
    }
    private var seen: [Key: State] = [:]
    /// How often each kind was told.
    private(set) var counts: [Kind: Int] = [:]

    /// What stands still, as it was told last.
    var standing: [Fault] {
        seen.values.compactMap { state in state.sentence.map { Fault(subject: state.subject, sentence: $0) } }
            .sorted { ($0.subject.kind.rawValue, $0.subject.name) < ($1.subject.kind.rawValue, $1.subject.name) }
    }

    /// - Parameter subjects: what has to move on now, and what stood still; nothing while there is a reason to stand
    ///   still.
    /// - Returns: what is to be repaired now.
    mutating func look(at subjects: [Subject], now: MonotonicInstant) -> [Fault] {
        var faults: [Fault] = []
        var present: [Key: State] = [:]
        for subject in subjects {
            let key = Key(kind: subject.kind, name: subject.name)
            let before = seen[key].flatMap { $0.subject.mark == subject.mark ? $0 : nil }
            guard subject.isWaiting || before?.sentence != nil else { continue }
            var state = before ?? State(since: now, told: now, subject: subject)
            if subject.isWaiting, now - state.told > subject.kind.patience {
                state.told = now
                counts[subject.kind, default: 0] += 1
                let sentence = sentence(subject, for: now - state.since)
                state.sentence = sentence
                faults.append(Fault(subject: subject, sentence: sentence))
            }
            present[key] = state
        }
        seen = present
        return faults
    }

    private func sentence(_ subject: Subject, for time: Duration) -> String {
        let time = brief(time)
        return switch subject.kind {
        case .cursor: "the cursor of job '\(subject.name)' stands still: the store has not answered its transaction for \(time)"
        case .queue: "waiting runs stand still: the store has not answered the question for them for \(time)"
        case .lease: "the leases of running attempts have not been renewed for \(time)"
        case .worker: "worker \(subject.name) has been sent runs and has begun none for \(time)"
        }
    }
}
