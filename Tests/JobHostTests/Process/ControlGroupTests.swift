import CLinux
import Glibc
import JobCore
import JobTestKit
import Testing

@testable import JobHost

@Suite(.timeLimit(.minutes(5))) struct ControlGroupTests {
    @Test("A process's own group is found below the place where the unified tree is mounted", arguments: [
        ("0::/system.slice/jobhost.service\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/system.slice/jobhost.service"),
        ("4:memory:/x\n0::/y\n", "1 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw\n31 20 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified/y"),
        ("0::/docker/abc/jobhost\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/jobhost"),
        ("0::/\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"),
        ("0::/elsewhere\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", nil),
        ("0::/docker/abcd\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n", nil),
        ("4:memory:/x\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", nil),
        ("0::/x\n", "1 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw\n", nil), ("", "", nil), ("0::", " - cgroup2 \n", nil),
    ] as [(String, String, String?)])
    func path(membership: String, mounts: String, path: String?) {
        #expect(ControlGroups.path(membership: membership, mounts: mounts) == path)
    }

    @Test("What was not delegated is not used, whoever could write there")
    func notDelegated() {
        // A test is run by hand or by a build machine, neither of which delegates.
        #expect(ControlGroups.ofThisProcess(stateDir: "/var/lib/jobhost") == nil)
    }

    @Test("A group kills what nobody finds below the worker any more, and is gone after it", .enabled(if: TestTree.isThere))
    func killsOrphans() async throws {
        try await TestTree.use { folder in
            let stage = try await Stage(groupFolder: folder)
            await stage.configure([await stage.pool()])
            // The room is not told that it may take this orphan: only the group has it.
            await stage.start(1, "orphan")
            let event = await stage.event { if case .progress = $0 { true } else { false } }
            guard case .progress(_, let done, _, _) = event else { return }
            #expect(try await stage.end(of: 1).outcome == .crashed)
            await stage.close()
            let orphan = Int32(done)
            #expect(!isAlive(orphan))
            waitpid(orphan, nil, 0)
            #expect(TestTree.groups(in: folder) == [])
        }
    }

    @Test("A run that hangs with a grandchild in a session of its own is killed by its group; the next one runs", .enabled(if: TestTree.isThere))
    func killsRuns() async throws {
        try await TestTree.use { folder in
            try await onStage(groupFolder: folder) { stage in
                await stage.configure([await stage.pool()])
                await stage.start(1, "grandchild", timeout: .milliseconds(50), grace: .milliseconds(20))
                let end = try await stage.end(of: 1)
                #expect(end.outcome == .timedOut)
                await stage.start(2, "good")
                #expect(try await stage.end(of: 2).outcome == .succeeded)
            }
            #expect(TestTree.groups(in: folder) == [])
        }
    }

    @Test("Groups that an earlier life of the same host left are found and emptied, no others", .enabled(if: TestTree.isThere))
    func leftovers() async throws {
        try await TestTree.use { folder in
            let group = try #require(ControlGroups(folder: folder, stateDir: "/a").make())
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            var files = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&files)
            defer { posix_spawn_file_actions_destroy(&files) }
            posix_spawn_file_actions_adddup2(&files, ends[1], 1)
            let words: [String] = ["sh", "-c", "echo 0 > \(group.path)/cgroup.procs; echo; exec sleep 1000"]
            var arguments = words.map { strdup($0) } + [nil]
            defer { for argument in arguments { free(argument) } }
            var pid: pid_t = 0
            try #require(posix_spawnp(&pid, "sh", &files, nil, &arguments, environ) == 0)
            var byte: UInt8 = 0
            #expect(read(ends[0], &byte, 1) == 1)
            for end in ends { close(end) }

            #expect(ControlGroups(folder: folder, stateDir: "/b").leftovers() == [])
            #expect(ControlGroups(folder: folder, stateDir: "/a").leftovers() == [group])
            #expect(!group.remove())
            #expect(group.kill())
            var status: Int32 = 0
            #expect(waitpid(pid, &status, 0) == pid && status & 0x7f == SIGKILL)
            #expect(group.remove())
            // Another of that name is made, as if none had been.
            #expect(ControlGroups(folder: folder, stateDir: "/a").make() == group)
            #expect(group.remove())
        }
    }

    @Test("Where groups can be made but do nothing, the walk over /proc kills the tree")
    func fallback() async throws {
        let plain = TemporaryFolder()
        try await onStage(groupFolder: plain.path) { stage in
            await stage.configure([await stage.pool()])
            // Not by a time limit: on a busy machine that could come before the grandchild is there.
            await stage.start(1, "grandchild", grace: .milliseconds(20))
            let event = await stage.event { if case .progress = $0 { true } else { false } }
            await stage.cancel(1)
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .cancelled)
            if case .progress(_, let done, _, _) = event {
                #expect(!isAlive(Int32(done)))
                waitpid(Int32(done), nil, 0)
            }
        }
        #expect(TestTree.groups(in: plain.path) == [])
    }

    @Test("Where no group can be made, workers run without")
    func noGroup() async throws {
        try await onStage(groupFolder: "/nonexistent") { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "good")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .succeeded)
        }
    }
}

/// A part of the machine's unified tree for one test; needs to be allowed to write there.
enum TestTree {
    private static let root: String? = ProcFS.read("/proc/self/mountinfo", limit: 4 << 20).flatMap {
        ControlGroups.path(membership: "0::/", mounts: String(decoding: $0, as: UTF8.self))
    }

    static var isThere: Bool {
        guard let root else { return false }
        let trial = "\(root)/jobhost-trial-\(getpid())"
        guard mkdir(trial, 0o755) == 0 else { return false }
        defer { rmdir(trial) }
        return access(trial + "/cgroup.kill", W_OK) == 0
    }

    static func use(_ body: (String) async throws -> Void) async throws {
        var template = Array("\(root ?? "")/jobhost-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure(text: "no group: \(errno)") }
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer { rmdir(folder) }
        try await body(folder)
    }

    /// The groups in a folder.
    static func groups(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return ["nothing can be read"] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if entry.pointee.d_type == UInt8(DT_DIR), !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
