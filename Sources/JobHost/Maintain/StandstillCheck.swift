import JobCore

/// The host watches what must move on by itself: an answer of the store that a cursor or a queue
/// waits for, the renewal of leases, a worker that has been sent runs. Whatever shows the same
/// mark for longer than its patience stands still: it is told, repaired by the shell, and told
/// again after as long if that did not help. Pure; look every few seconds.
struct StandstillCheck {
    enum Kind: String, CaseIterable {
        /// A transaction of a job's cursor is under way. The mark is the cursor.
        case cursor
        /// The store has been asked for waiting runs. The mark is the number of the question.
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
    private var seen: [Key: (mark: Int64, since: MonotonicInstant, told: MonotonicInstant)] = [:]
    /// How often each kind was told.
    private(set) var counts: [Kind: Int] = [:]

    /// - Parameter subjects: what has to move on now; nothing while there is a reason to stand still.
    /// - Returns: what is to be repaired now.
    mutating func look(at subjects: [Subject], now: MonotonicInstant) -> [Fault] {
        var faults: [Fault] = []
        var present: [Key: (mark: Int64, since: MonotonicInstant, told: MonotonicInstant)] = [:]
        for subject in subjects {
            let key = Key(kind: subject.kind, name: subject.name)
            var state = (mark: subject.mark, since: now, told: now)
            if let before = seen[key], before.mark == subject.mark { state = before }
            if now - state.told > subject.kind.patience {
                state.told = now
                counts[subject.kind, default: 0] += 1
                faults.append(Fault(subject: subject, sentence: sentence(subject, for: now - state.since)))
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
