import CLinux
import Glibc

/// A control group (cgroup v2) for each worker, where the host was delegated a part of the tree.
/// Whatever a worker starts is born in its group, however fast, in whichever session and below
/// whichever parent, and one write kills all of it. Confined to the loop.
///
/// Without delegation, or where a group cannot be made, `TreeKiller` does it alone.
final class ControlGroups {
    /// The host's own group.
    let folder: String
    private let prefix: String
    private var made = 0

    /// - Parameters:
    ///   - folder: the host's own group, delegated to it.
    ///   - stateDir: of the host, absolute. Its lock proves that nobody else makes groups of
    ///     the names derived from it, so that those an earlier life left behind can be told.
    init(folder: String, stateDir: String) {
        self.folder = folder
        prefix = "jobhost-\(String(stateDir.utf8.fnv1a(), radix: 16))-"
    }

    /// For this process; nil: it was not delegated its group.
    static func ofThisProcess(stateDir: String) -> ControlGroups? {
        guard let membership = ProcFS.read("/proc/self/cgroup", limit: 64 << 10),
            let mounts = ProcFS.read("/proc/self/mountinfo", limit: 4 << 20),
            let folder = path(
                membership: String(decoding: membership, as: UTF8.self), mounts: String(decoding: mounts, as: UTF8.self)),
            isDelegated(folder)
        else { return nil }
        return ControlGroups(folder: folder, stateDir: stateDir)
    }

    /// Where the unified group of a process lies, by its /proc/PID/cgroup and /proc/PID/mountinfo.
    static func path(membership: String, mounts: String) -> String? {
        guard let group = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })?.dropFirst(3) else { return nil }
        for line in mounts.split(separator: "\n") {
            // id parent device root mount-point options … - type source options
            guard let separator = line.range(of: " - "), line[separator.upperBound...].hasPrefix("cgroup2 ") else { continue }
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { continue }
            let (root, mountPoint) = (fields[3] == "/" ? "" : fields[3], fields[4])
            // Spaces are written \040: such a mount is left alone.
            guard !mountPoint.contains("\\"), group == root || group.hasPrefix("\(root)/") else { continue }
            let rest = group.dropFirst(root.count)
            return rest == "/" ? String(mountPoint) : "\(mountPoint)\(rest)"
        }
        return nil
    }

    /// systemd marks what it delegates by an attribute; another user's host owns its group. That
    /// root could write anywhere does not make the whole tree the host's.
    private static func isDelegated(_ folder: String) -> Bool {
        guard access(folder + "/cgroup.kill", F_OK) == 0, access(folder + "/cgroup.procs", W_OK) == 0,
            access(folder, W_OK | X_OK) == 0
        else { return false }
        if cl_attribute_is(folder, "user.delegate", "1") || cl_attribute_is(folder, "trusted.delegate", "1") { return true }
        var information = stat()
        return geteuid() != 0 && stat(folder, &information) == 0 && information.st_uid == geteuid()
    }

    /// A new, empty group; nil: it cannot be made now.
    func make() -> ControlGroup? {
        for _ in 0..<100 {
            made += 1
            let path = "\(folder)/\(prefix)\(made)"
            if mkdir(path, 0o755) == 0 { return ControlGroup(path: path) }
            guard errno == EEXIST else { return nil }
        }
        return nil
    }

    /// What an earlier life of the host left behind.
    func leftovers() -> [ControlGroup] {
        (Folder.names(in: folder) ?? []).filter { $0.hasPrefix(prefix) }.map { ControlGroup(path: "\(folder)/\($0)") }
    }
}

/// The group of one worker.
struct ControlGroup: Hashable {
    let path: String

    /// Kills all that is in it and what is just being started there. false: nothing was done
    /// (a kernel before 5.14, or the group has gone).
    @discardableResult
    func kill() -> Bool {
        let file = cl_open(path + "/cgroup.kill", O_WRONLY, 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        return write(file, "1", 1) == 1
    }

    /// false: something in it is still ending; try again.
    func remove() -> Bool { rmdir(path) == 0 || errno != EBUSY }
}
