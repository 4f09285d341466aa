import JobCore

/// `[http]`: where the API listens over TCP, and who may do what there.
struct HTTPReader {
    private let run: LoadRun
    private let section: SectionReader

    /// Shorter ones could be guessed.
    static let tokenLength = 32...256
    static let mostTokens = 100
    static let mostOutboxes = 8
    private static let mostTokenBytes = 64 << 10

    init(_ table: ConfigTable?, run: LoadRun) {
        self.run = run
        section = SectionReader(table ?? ConfigTable(), title: "[http]", keys: HTTPKeys.all, faults: run.faults)
    }

    func http() -> HTTPSettings {
        var http = HTTPSettings(listen: listen())
        http.readTokens = tokens(HTTPKeys.readToken)
        http.actTokens = tokens(HTTPKeys.actToken)
        http.allowedOrigins = origins()
        http.outboxes = outboxes()
        if let value = section.value(HTTPKeys.listen), let address = http.listen.flatMap({ try? ListenAddress($0) }),
            !address.isLoopback, !section.has(HTTPKeys.readToken)
        {
            run.faults.add(
                value.position, "'listen' = \"\(shownName(http.listen ?? ""))\" is reached from other machines, which needs tokens",
                hint: "set read_token, and act_token if somebody is to act there; or listen on \"127.0.0.1:\(address.port)\"")
        }
        return http
    }

    private func listen() -> String? {
        guard let value = section.value(HTTPKeys.listen) else { return nil }
        guard case .string(let text) = value.content else {
            section.refuse(HTTPKeys.listen, value, hint: "as in \"127.0.0.1:9480\" or \"[::1]:9480\"")
            return nil
        }
        do {
            _ = try ListenAddress(text)
            return text
        } catch {
            run.faults.add(value.position, "'listen' = \(error.message)", hint: error.hint)
            return nil
        }
    }

    /// The tokens of a file. Nothing of its content is ever in a message.
    private func tokens(_ key: ConfigKey) -> [AccessToken] {
        guard let value = section.value(key) else { return [] }
        guard case .string(let text) = value.content, text.hasPrefix("file:"), text.count > 5 else {
            run.faults.add(
                value.position, "'\(key.name)' must be \"file:\" and the path of a file that holds the token",
                hint: "a token in the config itself would be read by everybody who reads that")
            return []
        }
        let path = Paths.absolute(String(text.dropFirst(5)), in: run.folder)
        do {
            let bytes = try run.machine.readFile(path, Self.mostTokenBytes)
            return try AccessToken.list(bytes, fallbackName: key.name)
        } catch let fault as Machine.Fault {
            run.faults.add(value.position, "cannot read the tokens' file \(path): \(fault.reason)", isOfHost: fault.isOfHost)
        } catch let fault as AccessToken.Fault {
            run.faults.add(value.position, "the tokens' file \(path), line \(fault.line): \(fault.message)", hint: fault.hint)
        } catch {
            run.faults.add(value.position, "cannot read the tokens' file \(path): \(error)")
        }
        return []
    }

    private func outboxes() -> [OutboxSource] {
        guard let table = section.subtable(HTTPKeys.outbox) else { return [] }
        if table.entries.count > Self.mostOutboxes, let place = section.value(HTTPKeys.outbox)?.position {
            run.faults.add(place, "'outbox' names \(table.entries.count) databases", hint: "at most \(Self.mostOutboxes)")
        }
        var found: [OutboxSource] = []
        for (name, entry) in table.entries.sorted(by: { $0.key < $1.key }) {
            guard isName(name) else {
                run.faults.add(entry.keyPosition, "the name '\(shownName(name))' in 'outbox' is not usable", hint: labelHint)
                continue
            }
            guard case .string(let url) = entry.value.content,
                url.hasPrefix("sqlite:") && url.count > "sqlite:".count || StoreSettings.isPostgreSQL(url)
            else {
                // Never the address itself: it may hold a password.
                run.faults.add(
                    entry.value.position, "'outbox.\(name)' must be \"sqlite:\" and a path or a \"postgresql://\" URL",
                    hint: "as in \"sqlite:var/exchange.db\", or \"file:\" and the path of a file that holds it")
                continue
            }
            found.append(OutboxSource(name: name, url: url))
        }
        return found
    }

    private func origins() -> Set<String> {
        var origins: Set<String> = []
        for origin in section.strings(HTTPKeys.allowedOrigins) ?? [] {
            if isOrigin(origin.text) {
                origins.insert(origin.text)
            } else {
                run.faults.add(
                    origin.position, "'allowed_origins' holds \"\(shownName(origin.text))\", which is no origin",
                    hint: "scheme and host in lower case, a port if it is not the scheme's own, no path, as in \"https://desk.example\"")
            }
        }
        return origins
    }

    /// As a browser serialises one (RFC 6454 §6.1).
    private func isOrigin(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else { return false }
        let host = text.dropFirst(scheme.count)
        return !host.isEmpty && host.utf8.count <= 255
            && host.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): true
                default: false
                }
            }
    }
}

extension AccessToken {
    struct Fault: Error {
        var line: Int
        var message: String
        var hint: String?
    }

    /// A token a line, alone or after the name of whom it is; `#` begins a comment. Two lines for
    /// one name are how a token is replaced without an outage.
    static func list(_ bytes: [UInt8], fallbackName: String) throws -> [AccessToken] {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Fault(line: 1, message: "it is not UTF-8 text") }
        var tokens: [AccessToken] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            guard words.count <= 2, let secret = words.last else {
                throw Fault(line: index + 1, message: "expected a token, or a name and a token", hint: "as in \"alice 6f1c…\"")
            }
            guard HTTPReader.tokenLength.contains(secret.utf8.count), secret.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw Fault(
                    line: index + 1, message: "a token has \(rangeText(HTTPReader.tokenLength)) visible ASCII characters",
                    hint: "make one: openssl rand -hex 32")
            }
            let name = words.count == 2 ? String(first) : fallbackName
            guard isName(name) else {
                throw Fault(line: index + 1, message: "the name before the token may have up to 64 letters, digits, '-', '_' and '.'")
            }
            guard tokens.count < HTTPReader.mostTokens else {
                throw Fault(line: index + 1, message: "more than \(HTTPReader.mostTokens) tokens")
            }
            tokens.append(AccessToken(name: name, secret: String(secret)))
        }
        guard !tokens.isEmpty else { throw Fault(line: 1, message: "it holds no token", hint: "make one: openssl rand -hex 32") }
        return tokens
    }
}
