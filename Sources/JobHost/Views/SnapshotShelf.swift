import JobCore

/// The host's snapshot, shared by whoever asks at nearly the same time. However often views ask,
/// the host's loop spends no more than a small part of its time on answering: a snapshot serves
/// ten times as long as it took. After a command the next one is always new.
actor SnapshotShelf {
    private let control: any HostControl
    private let clock: any TimeSource
    /// How many times as long as it took; 0: each asker gets a new one.
    private let reuse: Int

    private var kept: (snapshot: HostSnapshot, until: MonotonicInstant)?
    private var coming: (task: Task<HostSnapshot, Never>, number: Int)?
    private var number = 0

    /// The longest that one serves.
    private static let longest = Duration.seconds(1)

    init(control: any HostControl, clock: any TimeSource, reuse: Int = 10) {
        self.control = control
        self.clock = clock
        self.reuse = reuse
    }

    func snapshot() async -> HostSnapshot {
        if let kept, reuse > 0, clock.now().monotonic < kept.until { return kept.snapshot }
        if let coming, reuse > 0 { return await coming.task.value }
        number += 1
        let mine = number
        let began = clock.now().monotonic
        let task = Task { [control] in await control.snapshot() }
        coming = (task, mine)
        let snapshot = await task.value
        // A command has passed meanwhile.
        guard coming?.number == mine else { return snapshot }
        coming = nil
        let now = clock.now().monotonic
        kept = (snapshot, now + min((now - began) * reuse, Self.longest))
        return snapshot
    }

    /// What was asked for until now may not show what has just been done.
    func forget() {
        kept = nil
        coming = nil
    }
}
