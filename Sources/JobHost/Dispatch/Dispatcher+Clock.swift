import JobCore

// What a wall clock that was set means for what is sent, open and waiting.
extension Dispatcher {
    mutating func observeClock(_ now: Now, _ out: inout DispatchActions) {
        switch clock.observe(now) {
        case .steady: return
        case .stepped(let by):
            takeBackAll(&out)
            // What was to be done a moment from now would now be done that much later.
            if by < .zero {
                settleBreakers(now)
                rebuildTimeline(now)
            }
        case .jumped(let by):
            takeBackAll(&out)
            settleBreakers(now)
            let seconds = by.microseconds / 1_000_000
            out.notes.append(DispatchNote(
                kind: .rewound, job: "", run: nil,
                text: "the wall clock jumped by \(seconds)s; nothing fires for \(ClockWatch.holdFor.components.seconds)s"))
        case .resumed:
            out.notes.append(DispatchNote(
                kind: .rewound, job: "", run: nil,
                text: "the wall clock was steady for \(ClockWatch.holdFor.components.seconds)s: firing goes on by its time"))
            for i in jobs.indices {
                jobs[i].mayRewind = true
                releaseFar(i, now, &out)
                // What waits by the old clock may now wait for a year: it keeps no place for that long.
                jobs[i].keepWaiting([], of: jobs[i].waitingFires)
                jobs[i].noteWaiting(now.wall)
            }
            rebuildTimeline(now)
        }
    }

    /// An opening lasts no longer than it was meant to from when the clock was set back, whoever asks when.
    private mutating func settleBreakers(_ now: Now) {
        for i in jobs.indices { jobs[i].breaker?.settleOpening(now: now.wall) }
    }

    private mutating func rebuildTimeline(_ now: Now) {
        for i in jobs.indices { timeline.set(job: i, at: now.wall) }
    }
}
