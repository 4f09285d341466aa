import CLinux
import Glibc
import JobCore

/// Workers that an earlier life of the supervisor left behind. They end by themselves when
/// their socket closes; this makes sure of it before their runs are declared lost.
public enum Survivors {
    public struct Row: Hashable, Sendable {
        public var pid: Int32
        /// /proc start time, clock ticks since boot.
        public var startTime: UInt64
        public var bootID: String
        public init(pid: Int32, startTime: UInt64, bootID: String) {
            self.pid = pid
            self.startTime = startTime
            self.bootID = bootID
        }
    }

    /// This boot of the machine; "" when the system does not say.
    public static func bootID() -> String { ProcFS.bootID() }

    /// Kills the trees of those on record that are still the same processes: same boot, same
    /// start time. Waits for each one's end, `patience` in all. Returns the pids killed. Blocks:
    /// before the loop starts, or on another thread.
    public static func killSurvivors(rows: [Row], patience: Duration = .seconds(5)) -> [Int32] {
        let boot = bootID()
        var dying: [(pid: Int32, pidfd: Int32)] = []
        for row in rows where !boot.isEmpty && row.bootID == boot && row.pid > 1 && row.pid != getpid() {
            let handle = cl_pidfd_open(row.pid)
            guard handle >= 0 else { continue }
            // Read after the handle was opened, so that both are about one process.
            guard let stat = ProcFS.stat(row.pid), stat.startTime == row.startTime, !stat.isZombie else {
                close(handle)
                continue
            }
            TreeKiller.kill(pid: row.pid, pidfd: handle)
            dying.append((row.pid, handle))
        }
        let clock = SystemClock()
        let limit = clock.now().monotonic + patience
        for one in dying {
            var watched = pollfd(fd: one.pidfd, events: Int16(POLLIN), revents: 0)
            let left = max(0, (limit - clock.now().monotonic).milliseconds)
            _ = poll(&watched, 1, Int32(clamping: left))
            close(one.pidfd)
        }
        return dying.map(\.pid)
    }
}
