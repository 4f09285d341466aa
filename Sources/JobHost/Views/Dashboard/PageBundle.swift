import JobCore

/// What a browser is sent of the page's files. It spends more on asking for two dozen small files than on the page
/// itself, so it gets one script: the modules behind one another, each in a function of its own. What is to happen
/// before the first paint stands in the document; the policy names it by its digest.
enum PageBundle {
    static let files: [PageFile] = make(of: PageFiles.all)

    /// Of the script in the document, for `script-src`.
    static let earlyDigest: String = {
        let early = PageFiles.all.first { $0.name == "early.js" }?.bytes ?? []
        var hash = SHA256()
        hash.update(early)
        return "sha256-" + base64(hash.digest())
    }()

    static func make(of files: [PageFile]) -> [PageFile] {
        let texts = Dictionary(files.map { ($0.name, String(decoding: $0.bytes, as: UTF8.self)) }, uniquingKeysWith: { $1 })
        let early = "<script>" + (texts["early.js"] ?? "") + "</script>"
        return files.compactMap { file in
            switch file.name {
            case "app.js": return PageFile(file.name, type: file.type, script(from: "app.js", texts))
            case "index.html":
                return PageFile(file.name, type: file.type, (texts[file.name] ?? "").replacing("<script src=\"early.js\"></script>", with: early))
            case _ where file.name.hasSuffix(".js"): return nil
            default: return PageFile(file.name, type: file.type, texts[file.name] ?? "")
            }
        }
    }

    /// The module `first` and all that it imports, what is imported before who imports it.
    static func script(from first: String, _ texts: [String: String]) -> String {
        var out = "\"use strict\";\n(() => {\n"
        var seen: Set<String> = []
        func add(_ name: String) {
            guard seen.insert(name).inserted, let text = texts[name] else { return }
            let module = Module(text)
            for other in module.imports { add(other) }
            out += "// \(name)\nconst \(variable(name)) = (() => {\n\(module.body)return { \(module.exports.joined(separator: ", ")) };\n})();\n"
        }
        add(first)
        return out + "})();\n"
    }

    /// "page-jobs.js" → "in_page_jobs".
    static func variable(_ name: String) -> String { "in_" + name.prefix { $0 != "." }.replacing("-", with: "_") }

    /// A module as its own lines bind it to others: `import { a, b as c } from "./x.js";`, and `export` before a
    /// function, class or constant.
    struct Module {
        private(set) var imports: [String] = []
        private(set) var exports: [String] = []
        private(set) var body = ""

        init(_ text: String) {
            var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            if lines.last == "" { lines.removeLast() }
            for line in lines {
                body += rewritten(line)
                body += "\n"
            }
        }

        private mutating func rewritten(_ line: Substring) -> String {
            if line.hasPrefix("export ") {
                let rest = line.dropFirst(7)
                let words = rest.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "$") }
                if let name = words.first(where: { !["async", "function", "class", "const"].contains($0) }) { exports.append(String(name)) }
                return String(rest)
            }
            if line.hasPrefix("import { "), line.hasSuffix(".js\";"), let end = line.firstRange(of: " } from \"./") {
                let file = String(line[end.upperBound...].dropLast(2))
                imports.append(file)
                let names = line[line.index(line.startIndex, offsetBy: 9)..<end.lowerBound].replacing(" as ", with: ": ")
                return "const { \(names) } = \(PageBundle.variable(file));"
            }
            return String(line)
        }
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let three = (0..<3).map { start + $0 < bytes.count ? Int(bytes[start + $0]) : 0 }
            let value = three[0] << 16 | three[1] << 8 | three[2]
            for (index, shift) in [18, 12, 6, 0].enumerated() {
                text.append(start + index <= bytes.count ? letters[value >> shift & 63] : "=")
            }
        }
        return text
    }
}
