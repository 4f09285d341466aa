import JobCore

/// What doctor makes of the store and of a host that runs, or does not.
extension Doctor {
    static func host(_ holder: Int32?, _ store: DoctorFacts.Store) -> Finding {
        if let holder { return Finding("host", .ok, "a host runs here, pid \(holder)") }
        if case .read(let history) = store, history.format == .absent {
            return Finding("host", .ok, "no host has run here yet; start one: jobhost run")
        }
        return Finding("host", .warn, "no host runs here: nothing is scheduled; start it: jobhost run")
    }

    static func store(_ store: DoctorFacts.Store) -> Finding {
        switch store {
        case .failed(let why): return Finding("store", .fail, "the store cannot be read: \(why)")
        case .skipped(let why): return Finding("store", .warn, "the store was not looked into: \(why)")
        case .read(let history):
            return switch history.format {
            case .absent: Finding("store", .ok, "the store is not there yet; it will be made")
            case .foreign: Finding("store", .fail, "the store's file is a database of another program; give [store] url a file of its own")
            case .current(let version): Finding("store", .ok, "format \(version); \(counted(history.jobs, "job")) with a history")
            case .older(let version, let known):
                Finding("store", .warn, "format \(version), this program's is \(known): the next start of the host brings it up, for good; keep a copy if you may want to go back")
            case .newer(let version, let known):
                Finding("store", .fail, "format \(version), and this program knows formats up to \(known): it was written by a newer version, which has to run it")
            }
        }
    }

    /// Of a store of our format: what waits for somebody.
    static func history(_ facts: DoctorFacts) -> [Finding] {
        guard case .read(let history) = facts.store, case .current = history.format else { return [] }
        return breakers(history.breakers, facts.wall) + dead(history.dead) + waiting(history.oldestWaiting, facts.wall)
            + copies(history.missingCopies, isRunning: facts.stateDir.holder != nil)
    }

    private static func breakers(_ open: [DoctorFacts.History.OpenBreaker], _ now: Instant) -> [Finding] {
        guard !open.isEmpty else { return [Finding("breakers", .ok, "none is open")] }
        return open.map { breaker in
            let end = breaker.until.map { $0 > now ? " until \(TimeText.absolute($0))" : ", the next run is a probe" } ?? " until somebody closes it"
            let why = breaker.reason.isEmpty ? "" : ": \(breaker.reason)"
            return Finding("breakers", .warn, "\(breaker.job)'s is open\(end)\(why). See: jobhost show \(breaker.job)")
        }
    }

    private static func dead(_ dead: [String: Int64]) -> [Finding] {
        guard !dead.isEmpty else { return [Finding("dead letters", .ok, "none")] }
        let list = dead.sorted { $0.key < $1.key }.map { "\($0.value) of \($0.key)" }
        return [Finding("dead letters", .warn, "\(list.joined(separator: ", ")). See: jobhost dead list")]
    }

    /// A run that is due starts within seconds where nothing keeps it.
    static let longestWait = Duration.seconds(300)

    private static func waiting(_ oldest: [String: Instant], _ now: Instant) -> [Finding] {
        let late = oldest.filter { now - $0.value > longestWait }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        guard !late.isEmpty else { return [Finding("waiting", .ok, oldest.isEmpty ? "no run waits that is due" : "no run has waited for long")] }
        return late.map { job, since in
            Finding("waiting", .warn, "a run of \(job) waits since \(TimeText.absolute(since)), \(TimeText.span((now - since).microseconds)). Why: jobhost runs \(job)")
        }
    }

    private static func copies(_ missing: [String], isRunning: Bool) -> [Finding] {
        missing.sorted().map { plugin in
            isRunning
                ? Finding("copies", .fail, "the host's copy of plugin '\(plugin)' is gone: no worker of it can start; make it anew: jobhost reload")
                : Finding("copies", .warn, "the host's copy of plugin '\(plugin)' is gone; the next start makes it anew from the library")
        }
    }
}
