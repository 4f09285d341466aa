import Hummingbird
import NIOCore

extension APIRoutes {
    var readingEvents: [Route] {
        [
            Route(method: .get, path: "/events", summary: "what happens, as it happens (text/event-stream)", query: ["job", "kind"]) { request, context in
                let query = try APIQuery(request.uri.query, allowed: ["job", "kind"])
                let kinds = try query.words("kind", API.EventKind.self)
                let lastID = HTTPFields.Element.Name("Last-Event-ID").flatMap { request.headers[$0] }
                let wanted = Wanted(kinds: kinds.isEmpty ? Set(API.EventKind.allCases) : Set(kinds).union([.reset]), job: query.text("job"))
                if wanted.takes(.outbox, of: nil) { await outboxes.areReady() }
                guard let listener = hub.listen(lastID: lastID) else {
                    var response = problemResponse(
                        API.Problem(
                            .serviceUnavailable, code: "unavailable", "\(EventHub.mostListeners) streams are open, which is the most",
                            hint: "close one, or ask for the state every few seconds"))
                    response.headers[.retryAfter] = "10"
                    return response
                }
                let client = context.peer.address
                return stream(listener, wanted, try await greeting(listener.start, wanted, client))
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

    /// What a stream begins with.
    private struct Greeting: Sendable {
        var text: String
        /// After which number it goes on from the ring.
        var after: Int64
        var missed: EventReplay.Missed?
        var rows: [Outboxes.Missed] = []
    }

    private func greeting(_ start: EventHub.Start, _ wanted: Wanted, _ client: String) async throws -> Greeting {
        func begin(_ name: String, _ data: String, id: String?, after: Int64) -> Greeting {
            Greeting(text: "retry: 2000\n" + (id.map { "id: \($0)\n" } ?? "") + "event: \(name)\ndata: \(data)\n\n", after: after)
        }
        var reason = "what came after that id is not kept any more"
        switch start.way {
        case .here(let resumes): return begin("hello", "{\"resumed\":\(resumes)}", id: start.id, after: start.after)
        case .kept(let since, let seen):
            switch try await replay.missed(since: since, start: start, client: client, holds: { hub.holds(after: $0) }) {
            case .missed(let missed):
                let rows = wanted.takes(.outbox, of: nil) ? try await outboxes.missed(after: seen, upTo: missed.told) : []
                guard let rows else { break }
                // Whoever is cut off on the way asks for all of it again: what it had was its last id.
                var greeting = begin("hello", "{\"resumed\":true}", id: nil, after: missed.after)
                (greeting.missed, greeting.rows) = (missed, rows)
                return greeting
            case .gone: break
            case .tooOften: reason = "what came after earlier ids was asked for too often from your address"
            }
        case .lost: break
        }
        return begin(API.EventKind.reset.rawValue, "{\"reason\":\"\(reason); read the state anew\"}", id: start.id, after: start.after)
    }

    /// A piece at a time: however much it is, and however slowly it is taken, a listener has little of it in memory.
    private func write(_ greeting: Greeting, _ wanted: Wanted, to writer: inout any ResponseBodyWriter) async throws {
        var text = Array(greeting.text.utf8)
        func add(_ kind: API.EventKind, _ data: [UInt8]) { text += Array("event: \(kind.rawValue)\ndata: ".utf8) + data + [10, 10] }
        func flush(above limit: Int) async throws {
            guard text.count > limit else { return }
            try await writer.write(ByteBuffer(bytes: text))
            text.removeAll(keepingCapacity: true)
        }
        // The client hears at once that it is let in.
        try await flush(above: 0)
        guard let missed = greeting.missed else { return }
        for entry in missed.entries where wanted.takes(entry.kind, of: entry.job) {
            add(entry.kind, entry.data)
            try await flush(above: 64 << 10)
        }
        for rows in greeting.rows {
            var rest: Outboxes.Missed? = rows
            while let next = rest, let page = try await outboxes.page(of: next) {
                for row in page.rows {
                    add(.outbox, row)
                    try await flush(above: 64 << 10)
                }
                rest = page.rest
            }
        }
        text += Array("id: \(missed.id)\n\n".utf8)
        try await flush(above: 0)
    }

    /// Ends when the client goes, when it was so slow that events are gone which it has not taken
    /// (it knows its last id), or when the host ends it.
    private func stream(_ listener: EventHub.Listener, _ wanted: Wanted, _ greeting: Greeting) -> Response {
        var response = Response(
            status: .ok,
            body: ResponseBody { writer in
                try await write(greeting, wanted, to: &writer)
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
        response.headers[.contentType] = EventHub.contentType
        response.headers[.cacheControl] = "no-store"
        // nginx would keep it back.
        if let name = HTTPFields.Element.Name("X-Accel-Buffering") { response.headers[name] = "no" }
        return response
    }
}
