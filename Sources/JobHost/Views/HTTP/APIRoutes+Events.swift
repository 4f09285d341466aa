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
                let wanted = Wanted(kinds: kinds.isEmpty ? Set(API.EventKind.allCases) : Set(kinds).union([.reset]), job: query.text("job"))
                return stream(listener, wanted, try await greeting(listener.start, wanted))
            }
        ]
    }

    /// What a listener asked for.
    private struct Wanted: Sendable {
        var kinds: Set<API.EventKind>
        var job: String?

        func takes(_ kind: API.EventKind, of job: String?) -> Bool {
            kinds.contains(kind) && (self.job == nil || job == nil || self.job == job)
        }
    }

    /// What a stream begins with, and after which number it goes on from the ring.
    private func greeting(_ start: EventHub.Start, _ wanted: Wanted) async throws -> (text: [UInt8], after: Int64) {
        func event(_ name: String, _ data: String, id: String?) -> String {
            (id.map { "id: \($0)\n" } ?? "") + "event: \(name)\ndata: \(data)\n\n"
        }
        let retry = "retry: 2000\n"
        switch start.way {
        case .here(let resumes):
            return (Array((retry + event("hello", "{\"resumed\":\(resumes)}", id: start.id)).utf8), start.after)
        case .kept(let since, let seen):
            guard let missed = try await replay.missed(since: since, start: start, holds: { hub.holds(after: $0) }) else { break }
            let rows = wanted.takes(.outbox, of: nil)
                ? try await outboxes.missed(after: seen, upTo: missed.told, limit: EventReplay.mostEntries) : []
            guard let rows else { break }
            // Whoever is cut off on the way asks for all of it again: what it had was its last id.
            var text = Array((retry + event("hello", "{\"resumed\":true}", id: nil)).utf8)
            for entry in missed.entries where wanted.takes(entry.kind, of: entry.job) {
                text += Array("event: \(entry.kind.rawValue)\ndata: ".utf8) + entry.data + [10, 10]
            }
            for row in rows { text += Array("event: \(API.EventKind.outbox.rawValue)\ndata: ".utf8) + row + [10, 10] }
            return (text + Array("id: \(missed.id)\n\n".utf8), missed.after)
        case .lost: break
        }
        let reason = "{\"reason\":\"what came after that id is not kept any more; read the state anew\"}"
        return (Array((retry + event(API.EventKind.reset.rawValue, reason, id: start.id)).utf8), start.after)
    }

    /// Ends when the client goes, when it was so slow that events are gone which it has not taken
    /// (it knows its last id), or when the host ends it.
    private func stream(_ listener: EventHub.Listener, _ wanted: Wanted, _ greeting: (text: [UInt8], after: Int64)) -> Response {
        var response = Response(
            status: .ok,
            body: ResponseBody { [hub] writer in
                try await writer.write(ByteBuffer(bytes: greeting.text))
                var number = greeting.after
                wakes: for await wake in listener.wakes {
                    // Of much that it did not ask for it hears nothing, but how far that went.
                    if wake == .pulse { try await writer.write(ByteBuffer(string: hub.id(after: number).map { "id: \($0)\n\n" } ?? ": alive\n\n")) }
                    while true {
                        guard let (bytes, upTo) = hub.read(after: number, kinds: wanted.kinds, job: wanted.job) else { break wakes }
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
