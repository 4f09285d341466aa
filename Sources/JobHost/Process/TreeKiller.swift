import CLinux
import Glibc

/// Kills a process with everything below it, also what has left its process group or session.
///
/// Stop the root, then look for its descendants and stop each, again and again until a look
/// finds no new one: a stopped process makes no children, and since workers are subreapers
/// every orphan below one is still its child. Then kill them all, the root last.
enum TreeKiller {
    /// Most looks. Each finds at least one new process, so only a machine that starts them
    /// faster than they are stopped comes near; what is left then becomes the supervisor's
    /// child and is killed there.
    static let mostLooks = 64

    /// Signals go through pidfds: a number that is reused meanwhile names nobody else. Returns
    /// the descendants that were killed; they are the caller's to reap once the root is.
    @discardableResult
    static func kill(pid root: Int32, pidfd: Int32) -> Set<Int32> {
        guard cl_pidfd_signal(pidfd, SIGSTOP) >= 0 else { return [] }
        var stopped: [Int32: Int32] = [:]
        defer { for handle in stopped.values { close(handle) } }
        for _ in 0..<mostLooks {
            var parents = [root]
            var foundNew = false
            while let parent = parents.popLast() {
                for child in ProcFS.children(parent) {
                    if stopped[child] == nil {
                        guard let handle = stop(child, childOf: parent) else { continue }
                        stopped[child] = handle
                        foundNew = true
                    }
                    parents.append(child)
                }
            }
            if !foundNew { break }
        }
        for handle in stopped.values { _ = cl_pidfd_signal(handle, SIGKILL) }
        _ = cl_pidfd_signal(pidfd, SIGKILL)
        return Set(stopped.keys)
    }

    /// nil: gone, or the number is somebody else's by now.
    private static func stop(_ pid: Int32, childOf parent: Int32) -> Int32? {
        let handle = cl_pidfd_open(pid)
        guard handle >= 0 else { return nil }
        // Looked at after the handle was opened: what it says is about the handle's process.
        guard ProcFS.stat(pid)?.parent == parent, cl_pidfd_signal(handle, SIGSTOP) >= 0 else {
            close(handle)
            return nil
        }
        return handle
    }
}
