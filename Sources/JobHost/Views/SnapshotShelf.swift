import JobCore
import Synchronization

/// The host's snapshot, shared by whoever asks at nearly the same time. However often views ask,
/// the host's loop spends no more than a small part of its time on answering: a snapshot serves
/// ten times as long as it took. After a command the next one is always new; of what happened by
/// itself, each one knows that is asked for a moment later.
actor SnapshotShelf {
    private let control: any HostControl
    private let clock: any TimeSource
    /// How many times as long as it took; 0: each asker gets a new one.
    private let reuse: Int

    private var kept: (snapshot: HostSnapshot, until: MonotonicInstant)?
    private var coming: (task: Task<HostSnapshot, Never>, number: Int)?
    private var number = 0
    /// When something first happened that the newest snapshot may not show; nil: nothing has.
    private nonisolated let missing = Mutex<MonotonicInstant?>(nil)

    /// The longest that one serves.
    private static let longest = Duration.seconds(1)
    /// The longest that one serves which does not show what has happened: less than the page waits after an event
    /// before it asks (GATHER in live.js).
    static let patience = Duration.milliseconds(300)

    init(control: any HostControl, clock: any TimeSource, reuse: Int = 10) {
        self.control = control
        self.clock = clock
        self.reuse = reuse
    }

    /// From the event hub, before it tells anybody else; any thread.
    nonisolated func hear(_ events: [HostEvent]) {
        guard events.contains(where: \.isStreamed) else { return }
        let now = clock.now().monotonic
        missing.withLock { $0 = $0 ?? now }
    }

    func snapshot() async -> HostSnapshot {
        let began = clock.now().monotonic
        if reuse > 0, !missing.withLock({ $0.map { began - $0 >= Self.patience } ?? false }) {
            if let kept, began < kept.until { return kept.snapshot }
            if let coming { return await coming.task.value }
        }
        number += 1
        let mine = number
        missing.withLock { $0 = nil }
        // Whoever asks meanwhile waits for the one that shows it.
        kept = nil
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
