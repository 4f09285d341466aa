import Glibc
import JobCore

/// The last sign of life of the host that lives in a state folder: the time of the file
/// `<state_dir>/alive`, which holds the id of the boot. It tells the next life which fires,
/// claimed ahead, the last one did not live to see.
///
/// Beaten on the event loop's thread, the one that starts runs, and before it starts them: see
/// `BeatPace`. Not synced to disk: after a power cut, which shows as another boot, it proves
/// nothing.
public final class Heartbeat: Sendable {
    public static let period = Duration.milliseconds(500)
    /// How long after the last beat the host may have lived, and what it had sent ahead of its instant may have begun:
    /// a period, and `Supervisor.sendLead`.
    public static let slack = Duration.seconds(1)

    /// The last beat of the life before this one, in this boot of the machine; nil: not known.
    public let previous: Instant?
    private let descriptor: OwnedDescriptor?
    /// Written with the first beat. Not before: a life that ends while it still judges what the
    /// one before it left must not pass for that one.
    private let boot: [UInt8]

    /// Reads the previous life's beat. Call it while holding the folder's lock.
    public init(stateDir: String, bootID: String) {
        boot = Array(bootID.utf8)
        let path = stateDir + "/alive"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            (previous, descriptor) = (nil, nil)
            return
        }
        descriptor = OwnedDescriptor(file)
        var found = stat()
        var content = [UInt8](repeating: 0, count: 100)
        let count = pread(file, &content, content.count, 0)
        guard count > 0, !boot.isEmpty, content[..<count] == boot[...], fstat(file, &found) == 0 else {
            previous = nil
            return
        }
        previous = Instant(
            microseconds: Int64(found.st_mtim.tv_sec).saturatingMultiply(1_000_000)
                .saturatingAdd(Int64(found.st_mtim.tv_nsec) / 1_000))
    }

    /// Whether the life before this one certainly ended before the instant of a fire that it had
    /// claimed ahead, so that nothing of it was executed. Where nothing proves it: false.
    public func provesUnseen(fire: Instant) -> Bool {
        previous.map { Self.provesUnseen(fire: fire, lastBeat: $0) } ?? false
    }
    static func provesUnseen(fire: Instant, lastBeat: Instant) -> Bool { fire > lastBeat + slack }

    /// I live.
    public func beat(_ now: Instant) {
        let time = timespec(
            tv_sec: Int(now.secondsFloor), tv_nsec: Int(now.microseconds.floorRemainder(1_000_000) * 1_000))
        descriptor?.with { file in
            var content = [UInt8](repeating: 0, count: 100)
            if pread(file, &content, content.count, 0) != boot.count || content[..<boot.count] != boot[...] {
                _ = ftruncate(file, 0)
                _ = pwrite(file, boot, boot.count, 0)
            }
            _ = futimens(file, [time, time])
        }
    }
}

/// When to beat. Asked before anything starts, so that no run starts more than a period after
/// the newest beat, neither by the wall clock, which may leap, nor by the monotonic one. Pure.
struct BeatPace {
    private var last: (at: MonotonicInstant, wall: Instant)?

    /// The time to beat with; nil: not yet. Never back with the clock: fires up to there may
    /// have started.
    mutating func beat(_ now: Now) -> Instant? {
        if let last, now.monotonic - last.at < Heartbeat.period, now.wall - last.wall < Heartbeat.period { return nil }
        let wall = max(now.wall, last?.wall ?? now.wall)
        last = (now.monotonic, wall)
        return wall
    }
}
