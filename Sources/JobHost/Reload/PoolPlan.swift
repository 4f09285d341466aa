import JobConfig
import JobCore

/// Which worker pools a generation needs. Pure.
enum PoolPlan {
    /// The pool a job's runs go to.
    static func key(of job: JobConfig) -> String { job.isolate ? "\(job.plugin)/\(job.name)" : job.plugin }

    /// One pool per plugin that has jobs, one more for each isolated job; by key.
    static func pools(
        plugins: [String: LoadedPlugin], jobs: [String: ResolvedJob], hostLimit: Int, environment: [String: String]
    ) -> [PoolSpec] {
        let byPool = Dictionary(grouping: jobs.values, by: \.pool)
        return byPool.compactMap { key, jobs -> PoolSpec? in
            guard let plugin = jobs.first.flatMap({ plugins[$0.config.plugin] }) else { return nil }
            let isolated = key != plugin.config.name
            let wanted = jobs.reduce(0) { sum, job in
                let (total, overflow) = sum.addingReportingOverflow(max(1, job.config.concurrency))
                return overflow ? .max : total
            }
            let own = isolated ? wanted : plugin.config.maxWorkers ?? wanted
            var spec = spec(plugin.config, copy: plugin.copy, environment: environment)
            spec.key = key
            spec.maxWorkers = max(1, min(own, hostLimit))
            spec.minWorkers = isolated ? 0 : max(0, min(plugin.config.minWorkers, spec.maxWorkers))
            return spec
        }.sorted { $0.key < $1.key }
    }

    /// The pool of one worker that a probe happens in, and the base of the others.
    static func spec(_ plugin: PluginConfig, copy: LibraryCopy, environment: [String: String]) -> PoolSpec {
        PoolSpec(
            key: plugin.name, plugin: plugin.name, library: copy, idleTimeout: plugin.idleTimeout,
            recycleRuns: plugin.recycle.runs, recycleAge: plugin.recycle.age, recycleMemory: plugin.recycle.memory,
            memoryLimit: plugin.memoryLimit, fileLimit: plugin.fileLimit,
            environment: environment.filter { plugin.environment.contains($0.key) },
            startTimeout: plugin.startTimeout, user: plugin.user)
    }
}
