import CLinux
import JobCore

/// How a child process ended.
public struct ChildExit: Hashable, Sendable {
    public enum Way: Hashable, Sendable {
        case code(Int32)
        case signal(Int32)
        /// Somebody else reaped it.
        case unknown
    }
    public var way: Way
    public var dumpedCore: Bool
    /// User and system time of its whole life.
    public var cpu: Duration
    /// Largest resident size, bytes; 0: unknown.
    public var maxResident: UInt64

    public init(_ way: Way, dumpedCore: Bool = false, cpu: Duration = .zero, maxResident: UInt64 = 0) {
        self.way = way
        self.dumpedCore = dumpedCore
        self.cpu = cpu
        self.maxResident = maxResident
    }

    init(_ raw: cl_exit) {
        self.init(
            raw.signalled ? .signal(raw.status) : .code(raw.status), dumpedCore: raw.dumped_core,
            cpu: .microseconds(raw.cpu_us), maxResident: UInt64(max(0, raw.max_resident))
        )
    }

    /// With one of the worker's own codes.
    var isOwn: Bool {
        if case .code(let code) = way { WorkerExit(rawValue: code) != nil } else { false }
    }

    /// "exited by signal 11 (SIGSEGV)", "exited with code 3"; a code of the worker's own says
    /// what it means.
    public var sentence: String {
        switch way {
        case .code(let code):
            guard let known = WorkerExit(rawValue: code), known != .shutdown else { return "exited with code \(code)" }
            return "exited with code \(code) (\(known.description))"
        case .unknown: return "exited, nobody knows how"
        case .signal(let number):
            let name = cl_signal_name(number).map { String(cString: $0) } ?? ""
            return "exited by signal \(number)" + (name.isEmpty ? "" : " (SIG\(name))")
        }
    }
}

/// "5.3ms", "300ms", "1.5s", "5m", "2h30m": durations as people read them, in reasons.
func brief(_ duration: Duration) -> String {
    let milliseconds = max(0, duration.milliseconds)
    if milliseconds < 10 {
        let tenths = max(0, duration.microseconds) % 1_000 / 100
        return tenths == 0 ? "\(milliseconds)ms" : "\(milliseconds).\(tenths)ms"
    }
    if milliseconds < 1_000 { return "\(milliseconds)ms" }
    if milliseconds < 60_000 {
        let tenths = (milliseconds % 1_000) / 100
        return tenths == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds / 1_000).\(tenths)s"
    }
    let seconds = milliseconds / 1_000
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")]
    return parts.filter { $0.0 > 0 }.prefix(2).map { "\($0.0)\($0.1)" }.joined()
}

/// "256MB", "1.5GB"; 256MiB as "256MiB": sizes in reasons. A limit reads as the config writes it,
/// and what is measured against one is told in `units` of the limit.
func brief(bytes: UInt64, units: SizeUnits? = nil) -> String {
    let units = units ?? SizeUnits(of: bytes)
    var value = Double(bytes)
    var unit = 0
    while value >= units.step, unit < units.names.count - 1 {
        value /= units.step
        unit += 1
    }
    let tenths = (value * 10).rounded(.down) / 10
    return tenths == tenths.rounded() ? "\(Int64(tenths))\(units.names[unit])" : "\(tenths)\(units.names[unit])"
}

/// Thousands or 1024s.
struct SizeUnits: Sendable {
    let step: Double
    let names: [String]

    static let thousands = SizeUnits(step: 1_000, names: ["B", "kB", "MB", "GB", "TB"])
    static let binary = SizeUnits(step: 1_024, names: ["B", "KiB", "MiB", "GiB", "TiB"])

    private init(step: Double, names: [String]) {
        self.step = step
        self.names = names
    }

    /// Those in which somebody has written a size: the ones that make it a round number.
    init(of bytes: UInt64) {
        let isBinary = bytes >= 1_024 && bytes.isMultiple(of: 1_024) && !bytes.isMultiple(of: 1_000)
        self = isBinary ? .binary : .thousands
    }
}
