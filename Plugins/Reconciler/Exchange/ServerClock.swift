import JobCore
import JobKit
import OutsideKit
import Synchronization

/// The exchange's clock, by which requests have to be stamped: ours plus an offset, measured
/// when it is first needed and whenever the exchange finds a stamp wrong.
final class ServerClock: Sendable {
    private struct Reading: Sendable {
        /// Milliseconds to add to our clock.
        var offset: Int64
        var number: Int
    }
    private let reading = Mutex<Reading?>(nil)
    private let time: any TimeSource

    init(_ time: any TimeSource = SystemTime()) { self.time = time }

    /// A stamp, and by which measurement it was made.
    func stamp(_ measure: () throws -> Int64) throws -> (milliseconds: Int64, reading: Int) {
        if let known = reading.withLock({ $0 }) {
            return (time.now().wall.milliseconds.saturatingAdd(known.offset), known.number)
        }
        try measureAgain(after: 0, measure)
        return try stamp(measure)
    }

    /// What the exchange's clock is ahead of ours, milliseconds, measured now.
    func offset(_ measure: () throws -> Int64) throws -> Int64 {
        try measureAgain(after: reading.withLock { $0?.number } ?? 0, measure)
        return reading.withLock { $0?.offset } ?? 0
    }

    /// Measures, unless somebody else has since that measurement.
    /// - Parameter measure: asks the exchange for its time, in milliseconds.
    func measureAgain(after number: Int, _ measure: () throws -> Int64) throws {
        if let known = reading.withLock({ $0 }), known.number != number { return }
        let before = time.now()
        let server = try measure()
        let after = time.now()
        // The answer was written somewhere between the two.
        let middle = before.wall + .microseconds((after.monotonic - before.monotonic).microseconds / 2)
        let offset = server.saturatingSubtract(middle.milliseconds)
        reading.withLock { $0 = Reading(offset: offset, number: ($0?.number ?? 0) + 1) }
    }
}
