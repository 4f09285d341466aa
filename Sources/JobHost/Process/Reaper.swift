import CLinux
import Glibc
import JobCore
import Synchronization

/// The one owner of children: nothing else in the process waits for one. Each child is watched
/// by its pidfd; orphans of workers become the supervisor's children (it is their subreaper)
/// and are killed and reaped. Confined to the loop.
final class Reaper {
    private struct Child {
        var pidfd: Int32
        var token: EventLoop.WatchToken
        var group: ControlGroup?
        var onExit: (ChildExit) -> Void
    }

    private let loop: EventLoop
    /// Whether a child that was not spawned here is to be killed.
    private let claimsOrphan: @Sendable (Int32) -> Bool
    private var children: [Int32: Child] = [:]
    /// Killed below a worker; ours to reap when they come to us.
    private var killedBelow: Set<Int32> = []
    /// Groups of workers that have ended, with the looks that were taken at them.
    private var emptying: [ControlGroup: Int] = [:]
    /// Called when no child is left, nor a group of one.
    var onEmpty: (() -> Void)?

    /// Every room of the process, so that none takes another's workers for orphans.
    private static let spawned = Mutex<Set<Int32>>([])

    init(loop: EventLoop, claimsOrphan: @escaping @Sendable (Int32) -> Bool) throws(HostFault) {
        self.loop = loop
        self.claimsOrphan = claimsOrphan
        _ = try checked(cl_become_subreaper(), "become the reaper of orphans")
        _ = try checked(cl_default_sigchld(), "reset SIGCHLD")
    }

    var isEmpty: Bool { children.isEmpty && emptying.isEmpty }

    /// Takes over a child and its pidfd. `onExit` is called once, when it has been reaped. An error: they are still the
    /// caller's, who can `discard` them.
    func adopt(pid: Int32, pidfd: Int32, group: ControlGroup? = nil, onExit: @escaping (ChildExit) -> Void) throws(HostFault) {
        Self.spawned.withLock { _ = $0.insert(pid) }
        do {
            let token = try loop.watch(fd: pidfd, events: .readable) { [weak self] _ in self?.reap(pid) }
            children[pid] = Child(pidfd: pidfd, token: token, group: group, onExit: onExit)
        } catch {
            forget(pid)
            throw error
        }
    }

    /// Kills a child that nobody could adopt, with its tree, and waits for its end.
    func discard(pid: Int32, pidfd: Int32, group: ControlGroup? = nil) {
        killedBelow.formUnion(TreeKiller.kill(pid: pid, pidfd: pidfd))
        var ignored = cl_exit()
        var death = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        while cl_reap_pidfd(pidfd, &ignored) == 0 { _ = poll(&death, 1, -1) }
        close(pidfd)
        if let group { empty(group) }
    }

    /// Kills the whole tree below and including a child: its control group at one blow, and by
    /// the walk what is not in it.
    func killTree(_ pid: Int32) {
        guard let child = children[pid] else { return }
        child.group?.kill()
        killedBelow.formUnion(TreeKiller.kill(pid: pid, pidfd: child.pidfd))
    }

    private func reap(_ pid: Int32) {
        guard let child = children[pid] else { return }
        var raw = cl_exit()
        let result = cl_reap_pidfd(child.pidfd, &raw)
        if result == 0 { return }
        loop.unwatch(child.token)
        close(child.pidfd)
        children[pid] = nil
        forget(pid)
        // Before anybody hears of the end: what was below it may not go on beside its next run.
        child.group?.kill()
        sweep()
        child.onExit(result < 0 ? ChildExit(.unknown) : ChildExit(raw))
        if let group = child.group { empty(group) }
        if isEmpty { onEmpty?() }
    }

    /// Kills what has outlived the worker of a group, and removes it.
    func empty(_ group: ControlGroup) {
        group.kill()
        guard !group.remove() else { return }
        let isFirst = emptying.isEmpty
        emptying[group] = 0
        if isFirst { emptyLater() }
    }

    /// What was killed takes a moment to end. A process that cannot end (it hangs in the kernel)
    /// keeps its group; the next life of the host tries again.
    private func emptyLater() {
        loop.timer(after: .milliseconds(10)) { [weak self] in
            guard let self else { return }
            for (group, looks) in emptying {
                emptying[group] = group.remove() || looks >= 100 ? nil : looks + 1
            }
            if !emptying.isEmpty { emptyLater() } else if isEmpty { onEmpty?() }
        }
    }

    private func forget(_ pid: Int32) { Self.spawned.withLock { _ = $0.remove(pid) } }

    /// Kills and reaps children that nobody here has spawned. After a worker's end its orphans
    /// are already ours: the kernel hands them over before the end can be noticed.
    func sweep() {
        for pid in ProcFS.children(getpid()) {
            guard !Self.spawned.withLock({ $0.contains(pid) }) else { continue }
            guard killedBelow.remove(pid) != nil || claimsOrphan(pid) else { continue }
            let handle = cl_pidfd_open(pid)
            guard handle >= 0 else { continue }
            do {
                try adopt(pid: pid, pidfd: handle) { _ in }
                killTree(pid)
            } catch {
                // Cannot watch it now; killed, and reaped by a later sweep.
                TreeKiller.kill(pid: pid, pidfd: handle)
                close(handle)
            }
        }
        if children.isEmpty { killedBelow = [] }
    }
}
