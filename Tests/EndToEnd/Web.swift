import JobJSON
import Testing

// The host over TCP, as people's tools see it.

extension Child {
    /// "http://127.0.0.1:41234", from the log.
    func address(from: Int = 0) async throws -> String {
        guard let found = await errors.next(from: from, where: { $0.contains("page and API: http://") }) else {
            throw TestHost.Failure("no address in:\n" + errors.all.joined(separator: "\n"))
        }
        let start = found.line.firstRange(of: "http://")?.lowerBound ?? found.line.endIndex
        return String(found.line[start...].prefix { $0 != " " }.dropLast())
    }
}

extension TestHost {
    /// What curl prints, the answer's head included.
    func curl(_ arguments: String...) async throws -> String {
        let child = try Child("/usr/bin/env", ["curl", "-sS", "-m", "30", "-i"] + arguments, environment: Self.environment(), folder: folder)
        _ = await child.exitCode()
        return (child.output.all + child.errors.all).joined(separator: "\n")
    }

    /// The samples of `/metrics`, by name and labels.
    func metrics() async throws -> [String: Double] {
        var samples: [String: Double] = [:]
        for line in try await probe("/metrics").body.split(separator: "\n") where !line.hasPrefix("#") {
            let space = line.lastIndex(of: " ") ?? line.endIndex
            samples[String(line[..<space])] = Double(line[space...].dropFirst())
        }
        return samples
    }

    /// Asked for until they are so; all of them.
    @discardableResult
    func metrics(until isSo: ([String: Double]) throws -> Bool) async throws -> [String: Double] {
        while true {
            let samples = try await metrics()
            if try isSo(samples) { return samples }
            // At its time limit a test says no more than that; this is what one wants to know.
            if Task.isCancelled { Issue.record(Failure("still: \(samples.sorted { $0.key < $1.key })")) }
            try Task.checkCancellation()
        }
    }

    @discardableResult
    func metrics(until wanted: [String: Double]) async throws -> [String: Double] {
        try await metrics { samples in wanted.allSatisfy { samples[$0.key] == $0.value } }
    }

    struct WebAnswer {
        var status: Int
        var body: JSON
    }

    /// One request of somebody with this token; "": of somebody without. `socket`: not over TCP.
    func ask(_ method: String, _ url: String, _ body: String = "{}", token: String = "", socket: String? = nil) async throws -> WebAnswer {
        var arguments = ["curl", "-sS", "-m", "30", "-w", #"\n%{http_code}"#, "-X", method]
        if let socket { arguments += ["--unix-socket", socket] }
        if method != "GET" { arguments += ["-d", body] }
        if !token.isEmpty { arguments += ["-H", "Authorization: Bearer \(token)"] }
        let child = try Child("/usr/bin/env", arguments + [url], environment: Self.environment(), folder: folder)
        guard await child.exitCode() == 0, let status = child.output.all.last.flatMap({ Int($0) }) else {
            throw Failure("\(method) \(url): \(child.errors.all)")
        }
        return WebAnswer(status: status, body: try JSON(parsing: Array(child.output.all.dropLast().joined(separator: "\n").utf8)))
    }
}

/// What the host says that can be done with it, so that what is new is not forgotten.
struct Operations {
    /// "POST /jobs/{job}/trigger": all that change something.
    let acting: Set<String>

    init(_ test: TestHost, _ web: String) async throws {
        let document = try await test.ask("GET", web + "/api/v1/openapi.json").body
        var acting: Set<String> = []
        for (path, item) in try #require(document["paths"]?.objectValue) {
            for (method, _) in try #require(item.objectValue) where method != "get" && method != "head" {
                acting.insert("\(method.uppercased()) \(path.dropFirst("/api/v1".count))")
            }
        }
        self.acting = acting
    }
}
