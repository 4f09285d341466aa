import CLinux
import Glibc

/// What the command line says of the sandbox, and its application. Before the library is
/// loaded and before there is a second thread: both halves hold for the thread that asks and
/// what comes after it.
struct Confinement {
    var isWanted = false
    /// With either of them files are confined.
    var read: [String]?
    var write: [String]?
    var network = true
    var nice: Int32 = 0

    /// nil: it holds. Else why not, in a sentence.
    func apply() -> String? {
        guard isWanted else { return nil }
        if nice > 0, clw_lower_priority(nice) != 0 { return "cannot lower the priority by \(nice): \(reason())" }
        guard clw_no_new_privs() == 0 else { return "no_new_privs: \(reason())" }
        return confineFiles() ?? filterCalls()
    }

    private func confineFiles() -> String? {
        let confines = read != nil || write != nil
        var culprit: UnsafePointer<CChar>?
        let result = withPaths(read ?? []) { read in
            withPaths(write ?? []) { write in
                clw_confine(confines, read.baseAddress, read.count, write.baseAddress, write.count, &culprit)
            }
        }
        guard result != 0 else { return nil }
        let why = reason()
        if clw_landlock_version() < 1 {
            return "this kernel has no Landlock (\(why)), so `read` and `write` of the sandbox cannot hold: "
                + "it needs Linux 5.13 with \"landlock\" among its security modules, or a sandbox without these keys"
        }
        return "the sandbox's files\(culprit.map { ": \(String(cString: $0))" } ?? ""): \(why)"
    }

    private func filterCalls() -> String? {
        guard clw_filter_calls(network) != 0 else { return nil }
        return "this kernel does not filter system calls (seccomp: \(reason())): the plugin can only run without [sandbox]"
    }

    private func reason() -> String { String(cString: strerror(errno)) }

    private func withPaths<Result>(_ paths: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> Result) -> Result {
        let copies = paths.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return copies.map { UnsafePointer($0) }.withUnsafeBufferPointer(body)
    }
}
