/// A job's due times over an edit of its schedule: each rule holds until the instant at which it
/// was replaced.
struct DueTimes: Sendable {
    struct Piece: Hashable, Sendable {
        var schedule: Schedule
        /// The last instant the rule accounts for.
        var upTo: Instant
    }
    /// In order of time; each begins where the one before ends.
    var pieces: [Piece]

    func next(after instant: Instant) -> Instant? {
        var start = instant
        for piece in pieces where piece.upTo > instant {
            if let fire = piece.schedule.next(after: start), fire <= piece.upTo { return fire }
            start = max(start, piece.upTo)
        }
        return nil
    }

    func previous(atOrBefore instant: Instant) -> Instant? {
        for index in pieces.indices.reversed() {
            let start = index == 0 ? .distantPast : pieces[index - 1].upTo
            guard instant > start else { continue }
            let fire = pieces[index].schedule.previous(atOrBefore: min(instant, pieces[index].upTo))
            if let fire, fire > start { return fire }
        }
        return nil
    }

    func count(after start: Instant, upTo end: Instant) -> Int64 {
        var from = start
        var count: Int64 = 0
        for piece in pieces where piece.upTo > start {
            count = count.saturatingAdd(piece.schedule.count(after: from, upTo: min(end, piece.upTo)))
            from = max(from, piece.upTo)
        }
        return count
    }
}
