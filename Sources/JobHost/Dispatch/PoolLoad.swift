import JobCore

/// How busy a pool is, as far as the dispatcher's own claims go, and who waits for it.
struct PoolLoad {
    var maxWorkers: Int
    /// Submitted and running.
    var busy = 0
    /// Fires that are held, or being claimed, for an instant to come.
    var promised = 0
    /// Waiting runs that the store has been asked for.
    var asked = 0
    /// Jobs with waiting runs that found no free worker. By what the store calls the effective
    /// priority: one minute of waiting weighs as much as one of priority.
    var queue = Timeline()
    /// Of attempts.
    private var meanRun = MeanTime()

    init(maxWorkers: Int) { self.maxWorkers = maxWorkers }

    /// How many runs may be with the pool at once. Where runs are short, a queue before the
    /// workers keeps them busy while the store commits; where they are long it would only make
    /// a claimed run wait for a particular worker. `longest` for each worker: what a crash of
    /// the host loses of runs that had not begun.
    private func capacity(_ moment: Duration, longest: Int64) -> Int {
        guard let fitting = meanRun.fitting(in: moment) else { return maxWorkers }
        return min(maxWorkers, 1 << 20) * Int(min(max(fitting, 32), longest))
    }
    /// For a waiting run, where what is claimed ahead is to last for `moment`: a queue of up to 64 for every 20 ms of it. Fires
    /// held for later do not count: they would keep a worker idle.
    func free(in moment: Duration) -> Int {
        max(0, capacity(moment, longest: 64 * moment.microseconds / MeanTime.moment.microseconds) - busy - asked)
    }
    /// For a claim that has its instant: until then a crash loses nothing, so as many as start
    /// at once.
    var freeAhead: Int { max(0, capacity(MeanTime.moment, longest: 512) - busy - asked - promised) }

    /// The place of a job in `queue`.
    static func rank(priority: Int, now: Now) -> Instant {
        Instant(microseconds: now.monotonic.microseconds) - .seconds(60 * min(max(priority, -1_000_000), 1_000_000))
    }

    mutating func observe(run: Duration) { meanRun.observe(run) }
}
