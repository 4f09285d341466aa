import Glibc

/// What the loader asks the machine for. Tests hand in files of their own.
public struct Machine: Sendable {
    public enum Kind: Sendable { case file, folder, other }

    /// Why a file cannot be read: "no such file or directory".
    public struct Fault: Error, Equatable, Sendable {
        public var reason: String
        /// The host is short of something itself: it says nothing of the file, and goes away without anybody touching it.
        public var isOfHost: Bool
        public init(reason: String, isOfHost: Bool = false) {
            self.reason = reason
            self.isOfHost = isOfHost
        }
        /// What a call of the system was refused with.
        public init(code: Int32) {
            isOfHost = [EMFILE, ENFILE, ENOMEM, EINTR, EIO].contains(code)
            reason = String(cString: strerror(code)).lowercased() + (isOfHost ? ", which is the host's own fault" : "")
        }
    }

    /// The bytes of a file, at most `limit` of them: a longer one is a fault.
    public var readFile: @Sendable (_ path: String, _ limit: Int) throws(Fault) -> [UInt8]
    /// Names in a folder without "." and "..", in any order; nil when it cannot be opened, if that is not for a fault of
    /// the host's.
    public var listFolder: @Sendable (_ path: String) throws(Fault) -> [String]?
    /// nil: there is nothing.
    public var kind: @Sendable (_ path: String) -> Kind?
    public var hostName: String
    /// Folder of the running binary, absolute.
    public var programFolder: String
    /// Absolute.
    public var currentFolder: String

    public init(
        readFile: @escaping @Sendable (_ path: String, _ limit: Int) throws(Fault) -> [UInt8],
        listFolder: @escaping @Sendable (_ path: String) throws(Fault) -> [String]?,
        kind: @escaping @Sendable (_ path: String) -> Kind?,
        hostName: String, programFolder: String, currentFolder: String
    ) {
        self.readFile = readFile
        self.listFolder = listFolder
        self.kind = kind
        self.hostName = hostName
        self.programFolder = programFolder
        self.currentFolder = currentFolder
    }

    /// This machine, as it is at the call.
    public static var system: Machine {
        Machine(
            readFile: { (path, limit) throws(Fault) in try readWholeFile(path, limit: limit) },
            listFolder: { (path) throws(Fault) in try namesInFolder(path) },
            kind: kindOfFile,
            hostName: systemHostName(),
            programFolder: Paths.folder(of: linkTarget("/proc/self/exe") ?? "/"),
            currentFolder: systemCurrentFolder())
    }
}

/// Reads a regular file; `limit` bytes at most.
func readWholeFile(_ path: String, limit: Int) throws(Machine.Fault) -> [UInt8] {
    // Not blocking, so that a FIFO in the place of a config cannot hold the host.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Machine.Fault(code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Machine.Fault(code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw Machine.Fault(reason: "not a regular file") }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw Machine.Fault(code: errno) }
        if count == 0 { return bytes }
        bytes.append(contentsOf: buffer[..<count])
        guard bytes.count <= limit else { throw Machine.Fault(reason: "longer than \(limit) bytes") }
    }
}

private func namesInFolder(_ path: String) throws(Machine.Fault) -> [String]? {
    guard let folder = opendir(path) else {
        let fault = Machine.Fault(code: errno)
        if fault.isOfHost { throw fault }
        return nil
    }
    defer { closedir(folder) }
    var names: [String] = []
    while true {
        // Its end and a fault differ by nothing else.
        errno = 0
        guard let entry = readdir(folder) else {
            let code = errno
            if code != 0 { throw Machine.Fault(code: code) }
            return names
        }
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { names.append(name) }
    }
}

private func kindOfFile(_ path: String) -> Machine.Kind? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .folder
    default: return .other
    }
}

private func systemHostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return name.isEmpty ? "localhost" : name
}

private func linkTarget(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
}

private func systemCurrentFolder() -> String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
}
