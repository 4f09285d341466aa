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

    /// Made here: the digest tells contents apart and promises no more (FNV-1a).
    init(_ name: String, type: String, _ text: String) {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        self.init(name, type: type, digest: String(hash, radix: 16), text)
    }
}

extension PageFiles {
    /// Where the files are for as long as they are what they are: a browser that has them asks for
    /// none of them again. Another release has another place.
    static let place = "page-" + String(PageBundle.files.lazy.flatMap(\.digest.utf8).fnv1a(), radix: 16)

    private static let byPath: [String: PageFile] = {
        let all = PageBundle.files
        var files = Dictionary(all.map { ("/" + $0.name, $0) }, uniquingKeysWith: { $1 })
        for file in all { files["/\(place)/\(file.name)"] = file }
        if var index = files["/index.html"] {
            var text = String(decoding: index.bytes, as: UTF8.self)
            for file in all { text = text.replacing("=\"\(file.name)\"", with: "=\"\(place)/\(file.name)\"") }
            index.bytes = Array(text.utf8)
            index.digest += "-" + place
            files["/"] = index
            files["/index.html"] = index
        }
        return files
    }()

    static var paths: [String] { byPath.keys.sorted() }
    static func file(at path: String) -> PageFile? { byPath[path] }

    /// Under their own names a browser asks each time whether it still has the file of this host.
    static func answer(_ file: PageFile, at path: String) -> Response {
        var response = jsonResponse(file.bytes, type: file.type)
        response.headers[.cacheControl] = path.hasPrefix("/\(place)/") ? "max-age=31536000, immutable" : "no-cache"
        response.headers[.eTag] = "\"\(file.digest)\""
        return response
    }

    static func add(to router: Router<APIContext>, of shelf: SnapshotShelf) {
        let document = file(at: "/").flatMap(PageDocument.init)
        for path in paths {
            router.on(RouterPath(path), method: .get) { request, context -> Response in
                guard let file = file(at: request.uri.path) else { throw API.Problem.notFound("there is no \(path)") }
                if file.name == "index.html", request.method == .get, let document, context.caller?.mayRead == true {
                    return document.answer(of: shelf)
                }
                return answer(file, at: request.uri.path)
            }
        }
    }
}
