import Hummingbird

/// What a client has already, as `If-None-Match` says (RFC 9110 §13.1.2): entity tags, or whatever there is.
struct IfNoneMatch: Equatable {
    enum Known: Equatable {
        case anything
        /// Opaque parts: two tags are compared weakly, whether one of them is weak makes no difference.
        case tags(Set<String>)
    }
    let known: Known

    /// nil: there is no such field, or it is none. Several fields are one list. What is no list of tags counts for nothing:
    /// an answer too many does no harm, one too few leaves the client with what is not so any more.
    init?(_ field: String?) {
        guard let field else { return nil }
        let blank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        var rest = Array(field.utf8)[...]
        func skip(_ isSkipped: (UInt8) -> Bool) { rest = rest.drop(while: isSkipped) }
        while rest.last.map(blank) == true { rest.removeLast() }
        skip(blank)
        if rest.elementsEqual([UInt8(ascii: "*")]) {
            known = .anything
            return
        }
        var tags: Set<String> = []
        while true {
            // Empty elements are allowed.
            skip { blank($0) || $0 == UInt8(ascii: ",") }
            guard !rest.isEmpty else { break }
            if rest.starts(with: Array("W/".utf8)) { rest = rest.dropFirst(2) }
            guard rest.popFirst() == UInt8(ascii: "\""), let end = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
            let tag = rest[..<end]
            rest = rest[end...].dropFirst()
            skip(blank)
            guard tag.allSatisfy({ $0 == 0x21 || $0 >= 0x23 && $0 != 0x7F }), rest.isEmpty || rest.first == UInt8(ascii: ",") else { return nil }
            tags.insert(String(decoding: tag, as: UTF8.self))
        }
        guard !tags.isEmpty else { return nil }
        known = .tags(tags)
    }

    /// `tag`: of the answer, with its quotes.
    func matches(_ tag: String) -> Bool {
        switch known {
        case .anything: true
        case .tags(let tags): tags.contains(String((tag.hasPrefix("W/") ? tag.dropFirst(2) : tag[...]).dropFirst().dropLast()))
        }
    }
}

extension Response {
    /// This answer, or 304 where who asked with GET or HEAD has it.
    func unlessKnown(to request: Request) -> Response {
        guard status == .ok, request.method == .get || request.method == .head, let tag = headers[.eTag],
            IfNoneMatch(request.headers[.ifNoneMatch])?.matches(tag) == true
        else { return self }
        var short = Response(status: .notModified)
        short.headers[.eTag] = tag
        short.headers[.cacheControl] = headers[.cacheControl]
        return short
    }
}
