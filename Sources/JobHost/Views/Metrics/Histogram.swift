/// Observations by size, as Prometheus counts them. Pure.
struct Histogram {
    /// Upper bounds, ascending, in seconds.
    let bounds: [Double]
    /// Of each bound, and of what is above all.
    private(set) var counts: [UInt64]
    private(set) var sum = 0.0

    init(_ bounds: [Double]) {
        self.bounds = bounds
        counts = [UInt64](repeating: 0, count: bounds.count + 1)
    }

    mutating func observe(_ value: Double) {
        guard value.isFinite else { return }
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] &+= 1
        sum += value
    }

    static let lateness = Histogram([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300])
    static let duration = Histogram([0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800])
    static let queueTime = Histogram([0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1_800, 7_200])
    static let store = Histogram([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5])
}
