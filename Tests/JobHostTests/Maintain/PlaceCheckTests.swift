import Glibc
import JobConfig
import Testing

@testable import JobHost

struct PlaceCheckTests {
    private func look(_ folder: String, state: String, log: String? = nil) -> PlaceCheck {
        var host = HostSettings(name: "h", stateDir: state.isEmpty ? folder : "\(folder)/\(state)", pluginDirs: [])
        host.logFile = log.map { "\(folder)/\($0)" }
        return PlaceCheck(host)
    }

    @Test("What can be made is made with its folders; nothing is made by looking")
    func possible() throws {
        let folder = try EmptyFolder()
        let found = look(folder.path, state: "var/deep/down", log: "host.log")
        #expect(found.errors == [] && found.warnings == [])
        #expect(Folder.names(in: folder.path) == [])
    }

    @Test("A file in the way, a folder in place of a file, and a log file's missing folder are errors")
    func impossible() throws {
        let folder = try EmptyFolder()
        let path = folder.path
        close(open(path + "/file", O_WRONLY | O_CREAT, 0o600))
        #expect(look(path, state: "file").errors == ["state_dir: \(path)/file is no folder"])
        #expect(look(path, state: "file/var").errors == ["state_dir: \(path)/file/var cannot be made: \(path)/file is no folder"])
        #expect(look(path, state: "", log: "logs/host.log").errors == ["log_file: \(path)/logs/host.log cannot be made: there is no folder \(path)/logs"])
        #expect(look(path, state: "", log: ".").errors == ["log_file: \(path)/. is a folder, not a file"])
        #expect(look(path, state: "", log: "file").errors == [])
    }

    @Test("What only this user may not is a warning", .enabled(if: geteuid() != 0))
    func forbidden() throws {
        let folder = try EmptyFolder()
        chmod(folder.path, 0o500)
        let found = look(folder.path, state: "var")
        #expect(found.errors == [])
        #expect(found.warnings == ["state_dir: \(userName(geteuid())) may not write to \(folder.path), so \(folder.path)/var cannot be made; may the host's user?"])
        chmod(folder.path, 0o700)
    }
}
