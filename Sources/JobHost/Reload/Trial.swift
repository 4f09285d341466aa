import JobConfig
import JobCore

/// All that a probe's answer may depend on, the library apart. What several jobs ask alike is asked
/// once: ten thousand jobs of one entry often differ in nothing that their library looks at.
struct Trial: Hashable, Sendable {
    private struct Question: Hashable, Sendable {
        var entry: String
        var settings: [UInt8]
    }
    private var asked: [Question] = []
    /// In the order of `asked`: who asks it.
    private var askers: [[String]] = []
    private var environment: [String: String]
    private var memoryLimit: UInt64?
    private var fileLimit: UInt64?
    private var user: String?
    private var sandbox: PluginConfig.Sandbox?

    init(_ plugin: PluginConfig, jobs: [JobConfig], environment: [String: String]) {
        self.init(
            plugin, environment, jobs.lazy.map { ($0.name, Question(entry: $0.entry, settings: Array($0.settings.canonicalJSON.utf8))) })
    }

    /// What a serving plugin has accepted.
    init(_ plugin: LoadedPlugin, in generation: Generation, environment: [String: String]) {
        let jobs = generation.jobs.values.filter { $0.config.plugin == plugin.config.name && $0.libraryHash == plugin.copy.sha256 }
        self.init(
            plugin.config, environment, jobs.lazy.map { ($0.config.name, Question(entry: $0.config.entry, settings: $0.settings)) })
    }

    private init(_ plugin: PluginConfig, _ environment: [String: String], _ questions: some Sequence<(job: String, Question)>) {
        self.environment = environment.filter { plugin.environment.contains($0.key) }
        (memoryLimit, fileLimit, user, sandbox) = (plugin.memoryLimit, plugin.fileLimit, plugin.user, plugin.sandbox)
        var places: [Question: Int] = [:]
        for (job, question) in questions {
            if let place = places[question] {
                askers[place].append(job)
            } else {
                places[question] = asked.count
                asked.append(question)
                askers.append([job])
            }
        }
    }

    var questions: [SettingsQuestion] { asked.map { SettingsQuestion(entry: $0.entry, settings: $0.settings) } }

    /// Refusals by job. Answers in the order of `questions`; missing ones count as accepted.
    func byJob(_ answers: [String?]) -> [String: String] {
        var refusals: [String: String] = [:]
        for (jobs, answer) in zip(askers, answers) {
            if let answer { for job in jobs { refusals[job] = answer } }
        }
        return refusals
    }

    /// Whoever was asked `other` was asked all of this, under the same conditions.
    func isCovered(by other: Trial) -> Bool {
        environment == other.environment && memoryLimit == other.memoryLimit && fileLimit == other.fileLimit
            && user == other.user && sandbox == other.sandbox && Set(asked).isSubset(of: other.asked)
    }
}
