import Hummingbird
import JobCore
import NIOCore
import NIOPosix

/// The page's document for who may read without a token: what its script would ask for first stands at its end. The
/// beginning is sent at once, so that the browser has the files and an empty page while the answer is made.
struct PageDocument: Sendable {
    /// So many jobs stand in it, which fills a tall window; a page that needs more asks (early.js).
    static let rows = 48
    /// For longer than that it does not wait: the page then asks by itself, and says what is the matter.
    static let patience = TimeAmount.milliseconds(500)

    private let type: String
    private let beginning: ByteBuffer
    private let end: ByteBuffer

    /// nil: it is none that has a beginning and an end.
    init?(_ index: PageFile) {
        let text = String(decoding: index.bytes, as: UTF8.self)
        guard let html = text.firstRange(of: "<html "), let end = text.firstRange(of: "</body>") else { return nil }
        type = index.type
        beginning = ByteBuffer(string: "\(text[..<html.upperBound])data-first=\"\(Self.rows)\" \(text[html.upperBound..<end.lowerBound])")
        self.end = ByteBuffer(string: String(text[end.lowerBound...]))
    }

    func answer(of shelf: SnapshotShelf) -> Response {
        var response = Response(
            status: .ok,
            body: ResponseBody { [beginning, end] writer in
                try await writer.write(beginning)
                if let overview = await Self.overview(shelf) {
                    var element = ByteBuffer(string: "<script type=\"application/json\" id=\"first\">")
                    element.writeBytes(overview)
                    element.writeString("</script>\n")
                    try await writer.write(element)
                }
                try await writer.write(end)
                try await writer.finish(nil)
            })
        response.headers[.contentType] = type
        response.headers[.cacheControl] = "no-store"
        return response
    }

    /// nil: it is not there in time.
    private static func overview(_ shelf: SnapshotShelf) async -> [UInt8]? {
        let (first, answers) = AsyncStream.makeStream(of: [UInt8]?.self, bufferingPolicy: .bufferingOldest(1))
        let limit = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: patience) { answers.yield(nil) }
        defer { limit.cancel() }
        Task {
            let overview = API.Overview(await shelf.snapshot(), names: nil, first: rows, recent: 0)
            answers.yield((try? APIJSON.bytes(of: overview)).map(withoutMarkup))
        }
        return await first.first { _ in true } ?? nil
    }

    /// JSON that ends no element and begins none, whatever it tells. A "<" stands in its strings alone.
    static func withoutMarkup(_ json: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(json.count + 64)
        for byte in json {
            if byte == UInt8(ascii: "<") { text += Array("\\u003c".utf8) } else { text.append(byte) }
        }
        return text
    }
}
