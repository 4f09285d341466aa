import Hummingbird
import NIOCore

extension APIRoutes {
    var readingEvents: [Route] {
        [
            Route(method: .get, path: "/events", summary: "what happens, as it happens (text/event-stream)", query: ["job", "kind"]) { request, _ in
                let query = try APIQuery(request.uri.query, allowed: ["job", "kind"])
                let kinds = try query.words("kind", API.EventKind.self)
                let lastID = HTTPFields.Element.Name("Last-Event-ID").flatMap { request.headers[$0] }
                guard let listener = hub.listen(lastID: lastID) else {
                    var response = problemResponse(
                        API.Problem(
                            .serviceUnavailable, code: "unavailable", "\(EventHub.mostListeners) streams are open, which is the most",
                            hint: "close one, or ask for the state every few seconds"))
                    response.headers[.retryAfter] = "10"
                    return response
                }
                return stream(
                    listener, kinds: kinds.isEmpty ? Set(API.EventKind.allCases) : Set(kinds).union([.reset]), job: query.text("job"))
            }
        ]
    }

    /// Ends when the client goes, when it was so slow that events are gone which it has not taken
    /// (it knows its last id), or when the host ends it.
    private func stream(_ listener: EventHub.Listener, kinds: Set<API.EventKind>, job: String?) -> Response {
        var response = Response(
            status: .ok,
            body: ResponseBody { [hub] writer in
                try await writer.write(ByteBuffer(bytes: listener.greeting))
                var number = listener.begins
                wakes: for await wake in listener.wakes {
                    if wake == .pulse { try await writer.write(ByteBuffer(string: ": alive\n\n")) }
                    while true {
                        guard let (bytes, upTo) = hub.read(after: number, kinds: kinds, job: job) else { break wakes }
                        if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
                        if upTo == number { break }
                        number = upTo
                    }
                }
                try await writer.finish(nil)
            })
        response.headers[.contentType] = "text/event-stream"
        response.headers[.cacheControl] = "no-store"
        // nginx would keep it back.
        if let name = HTTPFields.Element.Name("X-Accel-Buffering") { response.headers[name] = "no" }
        return response
    }
}
