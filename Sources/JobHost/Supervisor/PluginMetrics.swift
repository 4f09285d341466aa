import JobCore

/// The plugins' own metrics, as last reported, with bounded cardinality: a plugin that invents
/// label values without end loses its newest series, nothing else.
struct PluginMetrics {
    struct Series: Hashable {
        var name: String
        /// Sorted by name.
        var labels: [String]
    }
    struct Value {
        var kind: MetricSample.Kind
        /// Counter: sum. Gauge: last. Histogram: sum of observations.
        var value: Double
        var count: UInt64
    }
    static let seriesPerJob = 200

    private(set) var jobs: [String: [Series: Value]] = [:]
    /// Samples that found no place.
    private(set) var dropped: UInt64 = 0

    mutating func observe(_ sample: MetricSample, job: String) {
        let labels = sample.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }
        let series = Series(name: sample.name, labels: labels)
        guard jobs[job]?[series] != nil || (jobs[job]?.count ?? 0) < Self.seriesPerJob else {
            dropped &+= 1
            return
        }
        var value = jobs[job]?[series] ?? Value(kind: sample.kind, value: 0, count: 0)
        value.count &+= 1
        switch sample.kind {
        case .counter, .histogram: value.value += sample.value
        case .gauge: value.value = sample.value
        }
        jobs[job, default: [:]][series] = value
    }

    mutating func forget(job: String) { jobs[job] = nil }

    /// `name{label="x"}` and its value, sorted.
    func lines(job: String) -> [(name: String, value: Double)] {
        (jobs[job] ?? [:]).map { series, value in
            (series.labels.isEmpty ? series.name : "\(series.name){\(series.labels.joined(separator: ","))}", value.value)
        }.sorted { $0.name < $1.name }
    }
}
