import CLinux
import Glibc

/// The operating system refused something the host itself needs: out of descriptors, out of
/// processes, out of memory. Retried with backoff, visible, never counted against a job.
public struct HostFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, to be read after "cannot": "start a worker process".
    public var operation: String
    /// errno; 0: none, `detail` says it all.
    public var code: Int32
    public var detail: String

    public init(_ operation: String, code: Int32, detail: String = "") {
        self.operation = operation
        self.code = code
        self.detail = detail
    }

    /// "cannot start a worker process: Too many open files (EMFILE)".
    public var description: String {
        var text = "cannot \(operation)"
        if code != 0 { text += ": \(errorText(code))" }
        if !detail.isEmpty { text += code == 0 ? ": \(detail)" : "; \(detail)" }
        return text
    }
}

/// "Too many open files (EMFILE)". `code` is an errno.
func errorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    let text = buffer.withUnsafeMutableBufferPointer { space in
        strerror_r(code, space.baseAddress!, space.count) == 0 ? String(cString: space.baseAddress!) : "error \(code)"
    }
    guard let name = cl_errno_name(code), name.pointee != 0 else { return text }
    return "\(text) (\(String(cString: name)))"
}

/// The shims' convention: a value ≥ 0, or -errno.
func checked(_ result: Int32, _ operation: @autoclosure () -> String) throws(HostFault) -> Int32 {
    if result >= 0 { return result }
    throw HostFault(operation(), code: -result)
}
