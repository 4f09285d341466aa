import JobCore
import Synchronization

/// A clock whose hands the test turns. Both readings start where they are told to and move
/// only when asked. Callable from any thread.
public final class ManualClock: TimeSource {
    private let current: Mutex<Now>

    /// By default 2025-01-01T00:00:00Z, an hour after boot.
    public init(
        wall: Instant = Instant(seconds: 1_735_689_600),
        monotonic: MonotonicInstant = MonotonicInstant(microseconds: 3_600_000_000)
    ) {
        current = Mutex(Now(wall: wall, monotonic: monotonic))
    }

    public func now() -> Now { current.withLock { $0 } }

    /// Time passes: both hands move.
    public func advance(by duration: Duration) {
        current.withLock { now in
            now.wall = now.wall + duration
            now.monotonic = now.monotonic + duration
        }
    }

    /// Somebody sets the clock: only the wall hand moves.
    public func setWall(_ instant: Instant) {
        current.withLock { $0.wall = instant }
    }
}
