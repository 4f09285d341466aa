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
        return byPool.flatMap { key, jobs -> [PoolSpec] in
            guard let plugin = jobs.first.flatMap({ plugins[$0.config.plugin] }) else { return [] }
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
            guard let canary = plugin.canary else { return [spec] }
            // A few runs only: it needs no more workers than that, and keeps none.
            var trial = spec
            trial.key = canaryKey(of: key)
            trial.library = canary.copy
            trial.maxWorkers = min(spec.maxWorkers, canary.runs)
            trial.minWorkers = 0
            return [spec, trial]
        }.sorted { $0.key < $1.key }
    }

    /// The pool of a changed library on trial, beside the pool that it is to take over.
    static func canaryKey(of pool: String) -> String { pool + "@canary" }

    /// The pool of one worker that a probe happens in, and the base of the others.
    static func spec(_ plugin: PluginConfig, copy: LibraryCopy, environment: [String: String]) -> PoolSpec {
        var spec = PoolSpec(
            key: plugin.name, plugin: plugin.name, library: copy, idleTimeout: plugin.idleTimeout,
            recycleRuns: plugin.recycle.runs, recycleAge: plugin.recycle.age, recycleMemory: plugin.recycle.memory,
            memoryLimit: plugin.memoryLimit, fileLimit: plugin.fileLimit,
            environment: environment.filter { plugin.environment.contains($0.key) },
            startTimeout: plugin.startTimeout, user: plugin.user)
        spec.sandbox = plugin.sandbox.map(sandbox)
        return spec
    }

    private static func sandbox(_ config: PluginConfig.Sandbox) -> Sandbox {
        var sandbox = Sandbox()
        (sandbox.read, sandbox.write, sandbox.network) = (config.read, config.write, config.network)
        (sandbox.nice, sandbox.cpuTime) = (config.nice, config.cpuTime)
        return sandbox
    }
}
