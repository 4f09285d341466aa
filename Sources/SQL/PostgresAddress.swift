/// Where a PostgreSQL database is and who asks: a URL as libpq reads it, `postgresql://user:password@host:5432/name`,
/// with several hosts, TLS and password files by its parameters (`?sslmode=verify-full`).
///
/// It may hold a password, which no message of this module shows: print the address, not `url`.
public struct PostgresAddress: Hashable, Sendable, CustomStringConvertible {
    /// With its secrets.
    public let url: String
    /// Without password and parameters: "postgresql://user@host:5432/name".
    public let description: String
    /// What must never be seen, as it is written and as it is meant.
    private let secrets: [String]

    public static let schemes = ["postgresql://", "postgres://"]

    /// Throws `cannotOpen`, with a sentence that holds nothing of the URL, for what is no such URL
    /// or one whose password libpq would take for a host.
    public init(_ url: String) throws(SQLError) {
        guard let scheme = Self.schemes.first(where: { url.hasPrefix($0) }) else {
            throw SQLError(.cannotOpen, "a PostgreSQL database is written \"postgresql://user@host/name\"")
        }
        // As libpq reads it: what stands before the first @ is user and password, unless a / comes first.
        let rest = url.dropFirst(scheme.count)
        let head = rest.prefix { $0 != "@" && $0 != "/" }
        let hasUser = rest[head.endIndex...].first == "@"
        let user = hasUser ? head : ""
        let places = hasUser ? rest[rest.index(after: head.endIndex)...] : rest
        guard !places.contains("@") else {
            throw SQLError(
                .cannotOpen,
                "the URL of the database has a special character in its user, password or parameters: write @ as %40, / as %2F, % as %25")
        }
        guard !url.utf8.contains(0) else { throw SQLError(.cannotOpen, "the URL of the database has a NUL character") }
        let name = user.prefix { $0 != ":" }
        var secrets = [String(user.dropFirst(name.count + 1))]
        let place = places.prefix { $0 != "?" }
        for parameter in places.dropFirst(place.count + 1).split(separator: "&") {
            let key = parameter.prefix { $0 != "=" }
            if key.hasSuffix("password") { secrets.append(String(parameter.dropFirst(key.count + 1))) }
        }
        self.url = url
        self.secrets = (secrets + secrets.map(Self.decoded)).filter { !$0.isEmpty }.sorted { $0.count > $1.count }
        description = "postgresql://" + (name.isEmpty ? "" : name + "@") + place
    }

    /// `message` without any secret of this address.
    func scrubbed(_ message: String) -> String {
        var message = message
        for secret in secrets where secret.utf8.count >= 3 {
            var clean = ""
            var rest = message[...]
            while let found = rest.firstRange(of: secret) {
                clean += rest[..<found.lowerBound] + "…"
                rest = rest[found.upperBound...]
            }
            message = clean + rest
        }
        return message
    }

    /// The same, whose sessions look into `schema` before what they look into anyway; one whose URL has options of its own
    /// is left as it is. `more`: further options, escaped.
    public func searching(_ schema: String, _ more: String = "") throws(SQLError) -> PostgresAddress {
        if url.contains("options=") { return self }
        let options = "-csearch_path%3D\(schema)%2C%22%24user%22%2Cpublic" + more
        return try PostgresAddress(url + (url.contains("?") ? "&" : "?") + "options=" + options)
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A database by its URL: "sqlite:" and a path, or "postgresql://…".
public enum SQLAddress: Hashable, Sendable, CustomStringConvertible {
    case sqlite(path: String)
    case postgresql(PostgresAddress)

    /// Throws `cannotOpen` with a sentence.
    public init(_ url: String) throws(SQLError) {
        if url.hasPrefix("sqlite:"), url.utf8.count > "sqlite:".utf8.count {
            self = .sqlite(path: String(url.dropFirst("sqlite:".count)))
        } else if PostgresAddress.schemes.contains(where: { url.hasPrefix($0) }) {
            self = .postgresql(try PostgresAddress(url))
        } else {
            throw SQLError(.cannotOpen, "a database is written \"sqlite:\" and a path, or \"postgresql://user@host/name\"")
        }
    }

    public var dialect: SQLDialect {
        switch self {
        case .sqlite: .sqlite
        case .postgresql: .postgresql
        }
    }

    /// Without secrets.
    public var description: String {
        switch self {
        case .sqlite(let path): path
        case .postgresql(let address): address.description
        }
    }
}
