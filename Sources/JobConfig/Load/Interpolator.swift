import JobCore
import JobJSON
import NearestName

/// Puts the environment into the strings of a tree, and secrets from files into settings.
struct Interpolator {
    let environment: [String: String]
    /// Of the main file, absolute.
    let folder: String
    let machine: Machine
    let faults: Faults
    /// What one string may grow to, and all together: `${A}` is four bytes, its value may be many.
    private static let longestString = 64 << 10
    private var budget = 16 << 20
    /// What settings and the store's address have from files, and from variables whose names say that they are secret.
    private(set) var secrets = Secrets()

    init(environment: [String: String], folder: String, machine: Machine, faults: Faults) {
        self.environment = environment
        self.folder = folder
        self.machine = machine
        self.faults = faults
    }

    mutating func resolve(_ table: ConfigTable, path: [String] = []) -> ConfigTable {
        var out = table
        for (key, entry) in table.sorted {
            out.entries[key]?.value = resolve(entry.value, path: path + [key])
        }
        return out
    }

    private mutating func resolve(_ value: ConfigValue, path: [String]) -> ConfigValue {
        var out = value
        switch value.content {
        case .table(let table): out.content = .table(resolve(table, path: path))
        case .array(let elements):
            var resolved: [ConfigValue] = []
            for element in elements { resolved.append(resolve(element, path: path)) }
            out.content = .array(resolved)
        case .string(let text):
            guard let expanded = expand(text, at: value.position, mayBeSecret: isSettings(path) || isDatabase(path)) else {
                faults.settle(value.position)
                return out
            }
            if expanded != text {
                out.content = .string(expanded)
                out.written = text
            }
            if isSettings(path) { resolveSetting(&out, path: path) }
            if path.first == "http", isDatabase(path), expanded.hasPrefix("sqlite:"), expanded.count > "sqlite:".count {
                out.content = .string("sqlite:" + Paths.absolute(String(expanded.dropFirst("sqlite:".count)), in: folder))
            }
            if isDatabase(path), expanded.hasPrefix("file:"),
                let secret = readSecret(Paths.absolute(String(expanded.dropFirst("file:".count)), in: folder), at: value.position)
            {
                out.content = .string(secret)
                out.written = out.written ?? text
                out.isSecret = true
            }
        case .float(let literal):
            if isSettings(path), DecimalText(literal) == nil {
                faults.add(value.position, "'\(path.last ?? "")' must be a finite number, found \(literal)")
            }
        default: break
        }
        return out
    }

    /// Where a database is, and with which password.
    private func isDatabase(_ path: [String]) -> Bool { path.first == "store" || path.count > 2 && path[0] == "http" && path[1] == "outbox" }

    /// `path` lies inside the settings of a plugin, of a job or of the defaults.
    private func isSettings(_ path: [String]) -> Bool {
        switch path.first {
        case "defaults": path.count > 2 && path[1] == "settings"
        case "jobs", "plugins": path.count > 3 && path[2] == "settings"
        default: false
        }
    }

    private func isSQL(_ path: [String]) -> Bool {
        let names = path.dropFirst(path.first == "defaults" ? 2 : 3)
        return names.count > 1 && names.first == "sql"
    }

    private mutating func resolveSetting(_ value: inout ConfigValue, path: [String]) {
        guard case .string(let text) = value.content else { return }
        // A variable may hold a password, and nobody can tell which does.
        if value.written != nil { value.isSecret = true }
        if text.hasPrefix("file:") {
            let file = Paths.absolute(String(text.dropFirst("file:".count)), in: folder)
            if isSQL(path) {
                value.content = .string("file:" + file)
            } else if let secret = readSecret(file, at: value.position) {
                value.content = .string(secret)
                value.written = value.written ?? text
                value.isSecret = true
            }
        } else if text.hasPrefix("sqlite:"), text.count > "sqlite:".count, !text.hasPrefix("sqlite::") {
            value.content = .string("sqlite:" + Paths.absolute(String(text.dropFirst("sqlite:".count)), in: folder))
        }
    }

    private mutating func readSecret(_ file: String, at position: SourcePosition) -> String? {
        let bytes: [UInt8]
        do {
            bytes = try machine.readFile(file, Interpolator.longestString)
        } catch {
            faults.add(position, "cannot read the secret's file \(file): \(error.reason)", isOfHost: error.isOfHost)
            return nil
        }
        guard let text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else {
            faults.add(position, "the secret's file \(file) is not UTF-8 text")
            return nil
        }
        guard spend(bytes.count, at: position) else { return nil }
        var trimmed = Substring(text)
        while let last = trimmed.last, last.isWhitespace { trimmed.removeLast() }
        while let first = trimmed.first, first.isWhitespace { trimmed.removeFirst() }
        guard !trimmed.isEmpty else {
            faults.add(position, "the secret's file \(file) is empty")
            return nil
        }
        secrets.insert(String(trimmed))
        return String(trimmed)
    }

    private mutating func spend(_ bytes: Int, at position: SourcePosition) -> Bool {
        guard bytes <= Interpolator.longestString, bytes <= budget else {
            faults.add(position, "values put in here are longer than \(Interpolator.longestString >> 10) KiB, or than 16 MiB in all")
            return false
        }
        budget -= bytes
        return true
    }

    /// `${NAME}`, `${NAME:-default}` (also when NAME is empty), `$${` for `${` itself. nil: refused.
    private mutating func expand(_ text: String, at position: SourcePosition, mayBeSecret: Bool) -> String? {
        guard text.contains("${") else { return text }
        var out = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            out += rest[..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                out += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let end = rest.firstIndex(of: "}") else {
                    faults.add(position, "'${' without '}'", hint: "write '$${' for the text '${'")
                    return nil
                }
                let reference = rest[..<end].dropFirst(2)
                guard let value = variable(reference, at: position), spend(out.utf8.count + value.utf8.count, at: position) else {
                    return nil
                }
                if mayBeSecret, Self.namesSecret(reference) { secrets.insert(value) }
                out += value
                rest = rest[end...].dropFirst()
            } else {
                out += "$"
                rest = rest.dropFirst()
            }
        }
        return out + rest
    }

    private static func namesSecret(_ reference: Substring) -> Bool {
        let name = reference.prefix { $0 != ":" }.uppercased()
        return ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL"].contains { name.contains($0) }
    }

    private func variable(_ reference: Substring, at position: SourcePosition) -> String? {
        let name = String(reference.prefix { $0 != ":" })
        let tail = reference.dropFirst(name.count)
        guard isVariableName(name), tail.isEmpty || tail.hasPrefix(":-") else {
            faults.add(position, "'${\(shownName(String(reference)))}' is no reference to a variable", hint: "allowed: ${NAME} and ${NAME:-default}")
            return nil
        }
        if name == "CONFIG_DIR" { return folder }
        if let value = environment[name], !value.isEmpty || tail.isEmpty {
            guard !value.utf8.contains(0) else { return nil }
            return value
        }
        if !tail.isEmpty { return String(tail.dropFirst(2)) }
        let near = nearestName(name, among: environment.keys.sorted()).map { "did you mean '\($0)'? " } ?? ""
        faults.add(position, "the environment variable '\(name)' is not set", hint: near + "a default is written ${\(name):-value}")
        return nil
    }
}

/// A name as POSIX shells have it.
func isVariableName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 256, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
