import JobConfig
import JobCore
import JobJSON

/// `jobhost schema`: asks the plugins of jobs about their tables, each in a worker of its own.
enum SchemaSurvey {
    static func answers(_ inquiry: SchemaInquiry, _ environment: [String: String]) async throws -> [API.SchemaAnswer] {
        let config = try ConfigLoader.load(
            file: inquiry.config, environment: environment, zones: SystemZones(environment: environment))
        for job in inquiry.jobs where config.jobs[job] == nil {
            throw CommandError.unknownJob(job, among: config.jobs.keys)
        }
        let scratch = try ScratchFolder()
        defer { scratch.remove() }
        let names = inquiry.jobs.isEmpty ? config.jobs.keys.sorted() : inquiry.jobs
        let parts = try HostParts(
            config: config, clock: SystemClock(), environment: environment, stateDir: scratch.path,
            adjust: { (config) throws(ConfigErrors) in only(Set(names), in: config) })
        let outcome = await parts.builder.build(
            file: inquiry.config, environment: environment, previous: nil, accepted: [])
        var answers: [API.SchemaAnswer] = []
        if case .ready(let generation, let report) = outcome {
            let request = try JSON.bytes(encoding: inquiry.request, rules: PlainRules())
            for name in names {
                guard let job = generation.jobs[name], let pool = generation.pools.first(where: { $0.key == job.pool }) else {
                    let why = report.jobs.first(where: { $0.job == name })?.detail ?? ""
                    answers.append(API.SchemaAnswer(jobs: [name], level: .fail, object: "job", text: why.isEmpty ? "it is refused" : why))
                    continue
                }
                let question = DoctorQuestion(
                    job: name, entry: job.config.entry, settings: job.settings, timeout: inquiry.timeout,
                    schemaRequest: request)
                answers += told(await parts.handle.examine(pool, question), by: name)
            }
        } else {
            let reasons = outcome.report.errors.joined(separator: "; ")
            answers = [API.SchemaAnswer(jobs: names, level: .fail, object: "config", text: reasons)]
        }
        await parts.stop()
        return answers.merged()
    }

    /// Jobs that nobody asked for are not built; those that are asked for need not be enabled.
    private static func only(_ names: Set<String>, in config: HostConfig) -> HostConfig {
        var config = config
        config.jobs = config.jobs.filter { names.contains($0.key) }.mapValues { job in
            var job = job
            job.enabled = true
            // A follower's leader may not be here.
            if case .after? = job.schedule { job.schedule = ScheduleSpec.none }
            return job
        }
        let plugins = Set(config.jobs.values.map(\.plugin))
        config.plugins = config.plugins.filter { plugins.contains($0.key) }
        return config
    }

    private static func told(_ result: ExaminationResult, by job: String) -> [API.SchemaAnswer] {
        let answers = result.findings.map { finding in
            let level: Doctor.Level =
                switch finding.level {
                case .ok: .ok
                case .warning: .warn
                case .error: .fail
                }
            return API.SchemaAnswer(jobs: [job], level: level, object: finding.subject, text: finding.text)
        }
        func failure(_ why: String) -> [API.SchemaAnswer] {
            answers + [API.SchemaAnswer(jobs: [job], level: .fail, object: "schema", text: why)]
        }
        return switch result.end {
        case .complete, .absent: answers
        case .failed(let reason): failure(reason)
        case .notLoaded(let reason): failure("its plugin could not be asked: \(reason)")
        case .hostFault(let reason): failure("its plugin could not be asked: no worker starts: \(reason)")
        }
    }
}
