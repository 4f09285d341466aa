import CLinux
import Glibc

/// What the system says about a process.
enum Proc {
    /// Waits for the end of a process that is no child of ours, a minute at most.
    static func ended(_ pid: pid_t, within milliseconds: Int32 = 60_000) -> Bool {
        let handle = cl_pidfd_open(pid)
        guard handle >= 0 else { return errno == ESRCH || handle == -ESRCH }
        defer { close(handle) }
        var watched = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, max(0, milliseconds)) == 1
    }

    /// Living or unreaped processes whose parent this is.
    static func children(of parent: pid_t) -> [pid_t] {
        names(in: "/proc").compactMap { pid_t($0) }.filter { pid in
            // After the command's name, which may contain anything: state, parent, …
            guard let stat = text(of: "/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return false }
            return stat[end...].split(separator: " ").dropFirst(2).first == "\(parent)"
        }
    }

    /// The letter that `ps` shows: R, S, D, Z …
    static func state(of pid: pid_t) -> Character? {
        guard let stat = text(of: "/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        return stat[end...].dropFirst(2).first
    }

    /// Since the epoch, or as another clock counts.
    static func microseconds(_ clock: clockid_t = CLOCK_REALTIME) -> Int {
        var now = timespec()
        clock_gettime(clock, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    }

    static func openFiles(of pid: pid_t) -> Int { names(in: "/proc/\(pid)/fd").count }

    /// The limit of descriptors at which it may open just so many more.
    static func descriptorLimit(of pid: pid_t, free: Int) -> Int {
        let open = Set(names(in: "/proc/\(pid)/fd").compactMap { Int($0) })
        var (limit, left) = (0, free)
        while left > 0 {
            if !open.contains(limit) { left -= 1 }
            limit += 1
        }
        return limit
    }

    static func threads(of pid: pid_t) -> Int { names(in: "/proc/\(pid)/task").count }

    /// Resident memory in kB; `peak`: the most there ever was.
    static func memory(of pid: pid_t, peak: Bool = false) -> Int { memory(of: pid, peak ? "VmHWM:" : "VmRSS:") }

    /// What `/proc/PID/status` says there, in kB: `RssAnon:` is what the process has alone.
    static func memory(of pid: pid_t, _ name: String) -> Int {
        let line = text(of: "/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix(name) }
        return Int(line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "") ?? 0
    }

    /// From here on the peak is counted anew.
    static func forgetPeak(of pid: pid_t) throws {
        let file = open("/proc/\(pid)/clear_refs", O_WRONLY | O_CLOEXEC)
        guard file >= 0, write(file, "5", 1) == 1 else { throw TestHost.Failure("the peak of \(pid) stays: \(errno)") }
        close(file)
    }

    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func text(of path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}

/// Files that go from a folder.
final class FolderWatch {
    private let folder: String
    private let descriptor: Int32

    init(_ folder: String) throws {
        self.folder = folder
        descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard descriptor >= 0, inotify_add_watch(descriptor, folder, UInt32(IN_DELETE)) >= 0 else {
            throw TestHost.Failure("cannot watch \(folder): \(errno)")
        }
    }

    deinit { close(descriptor) }

    /// Returns when there are so many files at the most.
    func shrinks(to most: Int) async throws {
        var events = [UInt8](repeating: 0, count: 64 << 10)
        while Proc.names(in: folder).count > most {
            try Task.checkCancellation()
            // In pieces: others want the thread too.
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&watched, 1, 100)
            while read(descriptor, &events, events.count) > 0 {}
            await Task.yield()
        }
    }
}
