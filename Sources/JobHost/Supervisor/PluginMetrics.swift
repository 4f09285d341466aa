import JobCore

/// One series of a plugin's own metrics, as last reported.
public struct PluginMetric: Hashable, Sendable {
    public struct Label: Hashable, Sendable {
        public var name: String
        public var value: String
    }
    public var name: String
    public var kind: MetricSample.Kind
    /// Sorted by name.
    public var labels: [Label]
    /// Counter: sum. Gauge: last. Histogram: sum of observations.
    public var value: Double
    /// Samples seen.
    public var count: UInt64
}

/// The plugins' own metrics, with bounded cardinality: a plugin that invents label values without
/// end loses its newest series, nothing else.
struct PluginMetrics {
    private struct Series: Hashable {
        var name: String
        var labels: [PluginMetric.Label]
    }
    static let seriesPerJob = 200

    private var jobs: [String: [Series: PluginMetric]] = [:]
    /// Samples that found no place.
    private(set) var dropped: UInt64 = 0

    mutating func observe(_ sample: MetricSample, job: String) {
        let labels = sample.labels.sorted { $0.key < $1.key }.map { PluginMetric.Label(name: $0.key, value: $0.value) }
        let series = Series(name: sample.name, labels: labels)
        guard jobs[job]?[series] != nil || (jobs[job]?.count ?? 0) < Self.seriesPerJob else {
            dropped &+= 1
            return
        }
        var metric = jobs[job]?[series]
            ?? PluginMetric(name: sample.name, kind: sample.kind, labels: labels, value: 0, count: 0)
        guard metric.kind == sample.kind else {
            dropped &+= 1
            return
        }
        metric.count &+= 1
        switch sample.kind {
        case .counter, .histogram: metric.value += sample.value
        case .gauge: metric.value = sample.value
        }
        jobs[job, default: [:]][series] = metric
    }

    /// Jobs that the config does not know any more are forgotten.
    mutating func keep(jobs names: some Sequence<String>) {
        let names = Set(names)
        jobs = jobs.filter { names.contains($0.key) }
    }

    /// By name and labels.
    func of(job: String) -> [PluginMetric] {
        (jobs[job] ?? [:]).values.sorted {
            ($0.name, $0.labels.map(\.value).joined(separator: "\0")) < ($1.name, $1.labels.map(\.value).joined(separator: "\0"))
        }
    }
}
