import CLinux
import Glibc
import Testing

@testable import JobHost

@Suite(.timeLimit(.minutes(5))) struct TreeKillerTests {
    /// A shell whose child is in a session of its own and has a child itself; it says so by one
    /// line once all are there.
    @Test func everythingBelowDiesWhateverItsSession() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_adddup2(&files, ends[1], 1)
        let script = "setsid sh -c 'sleep 1000 & echo $! $$; wait' & wait"
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-c"), strdup(script), nil]
        defer { for argument in arguments { free(argument) } }
        var root: pid_t = 0
        try #require(posix_spawnp(&root, "sh", &files, nil, &arguments, environ) == 0)
        close(ends[1])
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(ends[0], &buffer, buffer.count)
        close(ends[0])
        let below = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
        try #require(below.count == 2)
        let handles = below.map { cl_pidfd_open($0) }
        let handle = cl_pidfd_open(root)
        defer { for fd in handles + [handle] { close(fd) } }

        let killed = TreeKiller.kill(pid: root, pidfd: handle)

        #expect(killed.isSuperset(of: below))
        #expect(!killed.contains(root))
        var status: Int32 = 0
        #expect(waitpid(root, &status, 0) == root)
        #expect(status & 0x7f == SIGKILL)
        for fd in handles {
            var watched = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            #expect(poll(&watched, 1, 120_000) == 1)
        }
        // Orphans come to a subreaper of this process, if it is one already.
        for pid in below { waitpid(pid, &status, WNOHANG) }
    }

    @Test func aProcessThatIsGoneHasNoTree() {
        #expect(TreeKiller.kill(pid: 1 << 29, pidfd: -1) == [])
        #expect(ProcFS.children(1 << 29) == [])
        #expect(ProcFS.resident(1 << 29) == nil)
    }

    @Test(arguments: [
        ("12 (a b) c) S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2", 7, 98_765, false, 26),
        ("1 (x) Z 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0", 0, 5, true, 0),
    ] as [(String, Int32, UInt64, Bool, UInt64)])
    func aStatLineIsReadBehindTheNameWhateverTheName(line: String, parent: Int32, start: UInt64, zombie: Bool, cpu: UInt64) {
        #expect(ProcFS.parseStat(Array(line.utf8)) == ProcFS.Stat(parent: parent, startTime: start, isZombie: zombie, cpuTicks: cpu))
    }

    @Test(arguments: ["", "1 (x", "1 (x) S", "1 (x) S 99999999999 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0", "1 (x) S a b c d e f g h i j k l m n o p q r s"])
    func aStatLineThatMakesNoSenseIsNoProcess(line: String) {
        #expect(ProcFS.parseStat(Array(line.utf8)) == nil)
    }
}
