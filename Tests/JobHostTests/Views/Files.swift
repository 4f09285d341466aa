import Glibc

enum Files {
    static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw HostFailure(message: "cannot write \(path)") }
        fputs(text, file)
        fclose(file)
    }
    /// Of the files in a folder.
    static func names(_ path: String) throws -> [String] {
        guard let folder = opendir(path) else { throw HostFailure(message: "cannot read \(path)") }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
    static func makeFolder(_ path: String) { mkdir(path, 0o755) }
    static func link(_ target: String, _ path: String) { symlink(target, path) }
    static func read(_ path: String) throws -> String {
        guard let file = fopen(path, "r") else { throw HostFailure(message: "cannot read \(path)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}
