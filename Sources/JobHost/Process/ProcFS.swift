import CLinux
import Glibc
import JobCore

/// Readings of /proc. A process that is gone reads as nil or as empty.
enum ProcFS {
    struct Stat: Hashable {
        var parent: Int32
        /// Clock ticks since boot: with the pid and the boot id it names a process for good.
        var startTime: UInt64
        var isZombie: Bool
        /// CPU time of the process and of its children that have ended and been waited for, clock ticks.
        var cpuTicks: UInt64
    }

    static func stat(_ pid: Int32) -> Stat? {
        guard let bytes = read("/proc/\(pid)/stat", limit: 2_048) else { return nil }
        return parseStat(bytes)
    }

    /// The command's name may hold spaces and parentheses: fields count from the last ')'.
    static func parseStat(_ bytes: [UInt8]) -> Stat? {
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(end + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let parent = number(fields[1]), let start = number(fields[19]) else { return nil }
        guard let parent = Int32(exactly: parent) else { return nil }
        return Stat(
            parent: parent, startTime: start, isZombie: fields[0].first == UInt8(ascii: "Z"),
            cpuTicks: fields[11...14].compactMap { number($0) }.reduce(0, &+))
    }

    /// Most processes below one that `cpu` looks at: each look costs the loop some 20 µs.
    private static let mostLooks = 256

    /// CPU time of a process, of those below it that began at `since` or later, and of all that any of these have
    /// waited for.
    static func cpu(_ root: Int32, since: MonotonicInstant) -> Duration? {
        guard let own = stat(root) else { return nil }
        let perSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let firstTick = UInt64(max(0, since.microseconds)).multipliedReportingOverflow(by: perSecond).partialValue / 1_000_000
        var ticks = own.cpuTicks
        var (parents, looks) = ([root], 0)
        while looks < mostLooks, let parent = parents.popLast() {
            for child in children(parent).prefix(mostLooks - looks) {
                looks += 1
                guard let stat = stat(child), stat.parent == parent, stat.startTime >= firstTick else { continue }
                ticks &+= stat.cpuTicks
                parents.append(child)
            }
        }
        return .milliseconds(Int64(clamping: ticks.multipliedReportingOverflow(by: 1_000).partialValue / perSecond))
    }

    /// All that is in memory for the process, bytes.
    static func resident(_ pid: Int32) -> UInt64? {
        guard let bytes = read("/proc/\(pid)/statm", limit: 256) else { return nil }
        let fields = bytes.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = number(fields[1]) else { return nil }
        return pages.multipliedReportingOverflow(by: UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))).partialValue
    }

    /// Of it, what no file of a disk stands behind: heap and stacks, and memory that is shared (tmpfs, memfd, shared
    /// anonymous mappings). Dearer than `resident`.
    static func unbacked(_ pid: Int32) -> UInt64? {
        guard let bytes = read("/proc/\(pid)/status", limit: 16 << 10) else { return nil }
        var sum: UInt64 = 0
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "RssAnon:".utf8) || line.starts(with: "RssShmem:".utf8) {
            // RssAnon:     1234 kB
            guard let kilobytes = number(line.filter { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { continue }
            sum &+= kilobytes.multipliedReportingOverflow(by: 1_024).partialValue
        }
        return sum
    }

    /// How many children of a process have ended without being waited for; only of those that its main thread made or
    /// that came to it as orphans. Where there are fewer children than `least`, nobody looks: 0.
    static func unreaped(_ pid: Int32, least: Int) -> Int {
        guard let bytes = read("/proc/\(pid)/task/\(pid)/children", limit: 1 << 20), !bytes.isEmpty else { return 0 }
        let children = bytes.split(separator: UInt8(ascii: " ")).compactMap { number($0).flatMap { Int32(exactly: $0) } }
        guard children.count >= least else { return 0 }
        return children.prefix(4 * least).count { stat($0)?.isZombie == true }
    }

    /// Identifies this boot of the machine; "" when the system does not say.
    static func bootID() -> String {
        let bytes = read("/proc/sys/kernel/random/boot_id", limit: 64) ?? []
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// Direct children, by all threads of the process. Complete for a stopped process; for a
    /// running one a child that comes or goes meanwhile may be missed.
    static func children(_ pid: Int32) -> [Int32] {
        var found: [Int32] = []
        var known = false
        for thread in numericEntries("/proc/\(pid)/task") {
            guard let bytes = read("/proc/\(pid)/task/\(thread)/children", limit: 1 << 20) else { continue }
            known = true
            found += bytes.split(separator: UInt8(ascii: " ")).compactMap { number($0).flatMap { Int32(exactly: $0) } }
        }
        // A kernel built without these files: every process, by its parent.
        return known ? found : numericEntries("/proc").filter { stat($0)?.parent == pid }
    }

    static func numericEntries(_ path: String) -> [Int32] {
        (Folder.names(in: path) ?? []).compactMap { Int32($0) }
    }

    static func number(_ digits: some Collection<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        var any = false
        for digit in digits {
            if digit == UInt8(ascii: "\n") { break }
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
            if overflow || carry { return nil }
            value = sum
            any = true
        }
        return any ? value : nil
    }

    /// A whole small file; nil when it cannot be read.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        let fd = cl_open(path, O_RDONLY, 0)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit, 4_096))
        while bytes.count < limit {
            let count = Glibc.read(fd, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
}
