import Glibc

/// Folders of the host's own.
enum Folder {
    /// What is in it, in no order; nil: it cannot be read, or is not there.
    static func names(in path: String) -> [String]? {
        guard let directory = opendir(path) else { return nil }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// With all that is in it, as far as that can be removed; links are not followed.
    static func remove(_ path: String) {
        for name in names(in: path) ?? [] {
            let inside = "\(path)/\(name)"
            if unlink(inside) != 0, errno == EISDIR { remove(inside) }
        }
        rmdir(path)
    }
}
