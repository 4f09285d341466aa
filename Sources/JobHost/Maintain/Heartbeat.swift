import Glibc
import JobCore

/// The last sign of life of the host that lives in a state folder: the time of the file
/// `<state_dir>/alive`, which holds the id of the boot. It tells the next life which fires,
/// claimed ahead, the last one did not live to see.
///
/// Beaten on the event loop's thread, the one that starts runs: a loop that does not beat does
/// not start anything either. Not synced to disk: after a power cut, which shows as another
/// boot, it says nothing.
public final class Heartbeat: Sendable {
    public static let period = Duration.milliseconds(500)
    /// How long after the last beat the host may have lived.
    public static let slack = Duration.seconds(1)

    /// The last beat of the life before this one, in this boot of the machine; nil: not known.
    public let previous: Instant?
    private let descriptor: OwnedDescriptor?

    /// Reads the previous life's beat and begins its own. Call it while holding the folder's lock.
    public init(stateDir: String, bootID: String) {
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
        let isSameBoot = count > 0 && !bootID.isEmpty && String(decoding: content[..<count], as: UTF8.self) == bootID
        if isSameBoot, fstat(file, &found) == 0 {
            previous = Instant(
                microseconds: Int64(found.st_mtim.tv_sec).saturatingMultiply(1_000_000)
                    .saturatingAdd(Int64(found.st_mtim.tv_nsec) / 1_000))
        } else {
            previous = nil
            let text = Array(bootID.utf8)
            _ = ftruncate(file, 0)
            _ = pwrite(file, text, text.count, 0)
        }
    }

    /// I live.
    public func beat(_ now: Instant) {
        let time = timespec(
            tv_sec: Int(now.secondsFloor), tv_nsec: Int(now.microseconds.floorRemainder(1_000_000) * 1_000))
        descriptor?.with { _ = futimens($0, [time, time]) }
    }
}
