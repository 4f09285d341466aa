import JobCore

/// Prometheus' text format, version 0.0.4. Pure.
struct MetricsText {
    enum Kind: String { case counter, gauge, histogram, summary }

    private(set) var bytes: [UInt8] = []
    private var name = ""

    /// Each family once, its samples after it.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        put("# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n")
    }

    /// Written piece by piece: a host with a thousand jobs has tens of thousands of samples.
    mutating func sample(_ labels: [(String, String)] = [], _ value: Double, suffix: String = "") {
        put(name)
        put(suffix)
        for (index, label) in labels.enumerated() {
            put(index == 0 ? "{" : ",")
            put(label.0)
            put("=\"")
            put(Self.escaped(label.1, quotes: true))
            put("\"")
        }
        put(labels.isEmpty ? " " : "} ")
        put(Self.number(value))
        put("\n")
    }

    mutating func sample(_ labels: [(String, String)] = [], _ value: some BinaryInteger, suffix: String = "") {
        sample(labels, Double(value), suffix: suffix)
    }

    mutating func histogram(_ labels: [(String, String)], _ histogram: Histogram) {
        var total: UInt64 = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            total &+= count
            sample(labels + [("le", Self.number(bound))], total, suffix: "_bucket")
        }
        total &+= histogram.counts.last ?? 0
        sample(labels + [("le", "+Inf")], total, suffix: "_bucket")
        sample(labels, histogram.sum, suffix: "_sum")
        sample(labels, total, suffix: "_count")
    }

    private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return String(value)
    }

    static func escaped(_ text: String, quotes: Bool) -> String {
        // Names of jobs and words of ours hold none of these.
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\"") }) else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
