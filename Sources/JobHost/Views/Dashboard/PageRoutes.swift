import Hummingbird
import NIOCore

/// One file of the page, as it is in the binary.
struct PageFile: Sendable {
    /// "index.html"
    var name: String
    var type: String
    /// Of its content.
    var digest: String
    var bytes: [UInt8]

    init(_ name: String, type: String, digest: String, _ text: String) {
        self.name = name
        self.type = type
        self.digest = digest
        bytes = Array(text.utf8)
    }
}

extension PageFiles {
    private static let byPath: [String: PageFile] = {
        var files = Dictionary(all.map { ("/" + $0.name, $0) }, uniquingKeysWith: { $1 })
        files["/"] = files["/index.html"]
        return files
    }()

    static var paths: [String] { byPath.keys.sorted() }
    static func file(at path: String) -> PageFile? { byPath[path] }

    /// A browser asks each time whether it still has the file of this host.
    static func answer(_ file: PageFile, ifNoneMatch: String?) -> Response {
        let tag = "\"\(file.digest)\""
        var response = ifNoneMatch == tag ? Response(status: .notModified) : jsonResponse(file.bytes, type: file.type)
        response.headers[.cacheControl] = "no-cache"
        response.headers[.eTag] = tag
        return response
    }

    static func add(to router: Router<APIContext>) {
        for path in paths {
            for method in [HTTPRequest.Method.get, .head] {
                router.on(RouterPath(path), method: method) { request, _ -> Response in
                    guard let file = file(at: request.uri.path) else { throw API.Problem.notFound("there is no \(path)") }
                    return answer(file, ifNoneMatch: request.headers[.ifNoneMatch])
                }
            }
        }
    }
}
