import JobCore
import JobStore

@testable import JobHost

/// What a day has beside a story of minutes: an order of things to come, libraries and the trials of changed ones.
struct SimulatedDay {
    enum Event {
        case commit, deliver, write
        case work(RunID)
        /// Something goes wrong.
        case trouble
        case storeIsBack, hostGoesOn
        case decided(plugin: String, CanaryTrial.Decision)
    }
    private struct Turn: Comparable {
        var at: MonotonicInstant
        var order: Int
        static func < (a: Self, b: Self) -> Bool { a.at != b.at ? a.at < b.at : a.order < b.order }
    }
    private var turns = IndexedHeap<Turn>()
    private var events: [Event] = []
    private var free: [Int] = []
    private var order = 0

    /// Of the serving libraries, by plugin; nil: the first ones.
    var libraries: [String: String] = [:]
    var canaries: [String: CanaryTrial] = [:]
    /// Libraries on trial that crash, and how many of their runs have begun and not been given back.
    var bad: Set<String> = []
    var onTrial: [RunID: String] = [:]
    /// The libraries of all other runs under way.
    var beside: [RunID: String] = [:]
    var begunOnTrial: [String: Int] = [:]
    var rolledBack: Set<String> = []
    /// Plugins of which some old run has crashed or timed out beside the trial.
    var crashedBeside: Set<String> = []
    var versions = 0
    /// Everything of a plugin fails until then.
    var outages: [String: MonotonicInstant] = [:]
    /// The wall clock does not go on before.
    var clockStands = MonotonicInstant(microseconds: 0)
    var planned: Set<String> = []
    var performed = 0

    var next: MonotonicInstant? { turns.first?.key.at }

    mutating func plan(_ event: Event, at: MonotonicInstant) {
        order += 1
        let place = free.popLast() ?? events.count
        if place == events.count { events.append(event) } else { events[place] = event }
        turns.set(place, to: Turn(at: at, order: order))
    }

    mutating func take(_ now: MonotonicInstant) -> Event? {
        guard let at = next, at <= now, let place = turns.popFirst() else { return nil }
        free.append(place)
        return events[place]
    }

    /// The host has died: nothing that it or its workers had planned happens.
    mutating func forget() {
        turns.removeAll()
        (events, free, planned, onTrial, beside, canaries) = ([], [], [], [:], [:], [:])
        (begunOnTrial, crashedBeside) = ([:], [])
    }

    mutating func returned(_ run: RunID, of plugin: String) {
        beside[run] = nil
        guard let library = onTrial.removeValue(forKey: run) else { return }
        begunOnTrial[library, default: 0] -= 1
        canaries[plugin]?.returned(run)
    }
}
