import Glibc
import JobConfig
import JobCore

/// Whether the host could make the files that it writes, found out without making any: for `check`, which may be
/// run by somebody else than the host will be.
struct PlaceCheck {
    /// Nobody could.
    private(set) var errors: [String] = []
    /// This user could not.
    private(set) var warnings: [String] = []

    init(_ host: HostSettings) {
        look(at: host.stateDir, of: "state_dir", isFolder: true)
        if let file = host.logFile { look(at: file, of: "log_file", isFolder: false) }
    }

    private mutating func look(at path: String, of key: String, isFolder: Bool) {
        var place = path
        var found = stat()
        while stat(place, &found) != 0 {
            let code = errno
            guard code == ENOENT || code == ENOTDIR, place != "/" else {
                warnings.append("\(key): \(path) cannot be looked at as \(user): \(errorText(code))")
                return
            }
            // A folder's own folders are made with it; a file's are not.
            if !isFolder, place != path {
                errors.append("\(key): \(path) cannot be made: there is no folder \(place)")
                return
            }
            place = Self.parent(of: place)
        }
        let isThere = place == path
        let isFolderThere = found.st_mode & S_IFMT == S_IFDIR
        if isThere, isFolderThere != isFolder {
            errors.append("\(key): \(path) is \(isFolderThere ? "a folder, not a file" : "no folder")")
        } else if !isThere, !isFolderThere {
            errors.append("\(key): \(path) cannot be made: \(place) is no folder")
        } else if access(place, isFolderThere ? W_OK | X_OK : W_OK) != 0 {
            warnings.append("\(key): \(user) may not write to \(place)" + (isThere ? "" : ", so \(path) cannot be made") + "; may the host's user?")
        }
    }

    private var user: String { userName(geteuid()) }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
