import JobCore

/// What is kept of one run's log: its head as it comes, then the newest of the rest in memory,
/// written at the end behind a line that says how much was left out. Pure.
struct LogBudget {
    static let head = 512 << 10
    static let tail = 512 << 10

    private let run: LoggedRun?
    private var headLeft: Int
    private let tailLimit: Int
    private var tail: [[UInt8]] = []
    private var tailStart = 0
    private var tailBytes = 0
    private(set) var leftOut = 0
    /// Of the head, not yet taken for writing.
    private var ready: [UInt8] = []

    /// `existing`: bytes that earlier attempts of the run have written; what a new attempt says
    /// first is kept in any case.
    init(of run: LoggedRun? = nil, existing: Int = 0) {
        self.run = run
        headLeft = max(64 << 10, Self.head - existing)
        tailLimit = existing < Self.head + Self.tail ? Self.tail : 64 << 10
    }

    /// true: there is something to write now.
    mutating func add(_ line: [UInt8]) -> Bool {
        if tailBytes == 0, leftOut == 0, line.count <= headLeft {
            headLeft -= line.count
            ready += line
            return true
        }
        headLeft = 0
        tail.append(line)
        tailBytes += line.count
        while tailBytes > tailLimit, tailStart < tail.count {
            tailBytes -= tail[tailStart].count
            leftOut += tail[tailStart].count
            tail[tailStart] = []
            tailStart += 1
        }
        if tailStart > 1_024, tailStart > tail.count / 2 {
            tail.removeFirst(tailStart)
            tailStart = 0
        }
        return false
    }

    mutating func takeReady() -> [UInt8] {
        defer { ready = [] }
        return ready
    }

    /// The rest, for the end of the file.
    mutating func takeTail(now: Instant) -> [UInt8] {
        var out: [UInt8] = []
        if leftOut > 0 {
            out += LogLine(at: now, level: .info, stream: .host, text: "… \(leftOut) bytes left out …").json(of: run)
        }
        for line in tail[tailStart...] { out += line }
        (tail, tailStart, tailBytes, leftOut) = ([], 0, 0, 0)
        return out
    }
}
