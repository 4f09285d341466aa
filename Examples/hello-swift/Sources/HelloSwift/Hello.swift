import JobKit

/// Settings are a struct with defaults; the host shows and checks them.
struct GreetSettings: JobSettings {
    var name = "world"
    var times = 1

    static let fields = [
        SettingsField("name", "Who is greeted."),
        SettingsField("times", "How often.", range: 1 ... 100),
    ]
}

struct Counter: Codable {
    var greetings = 0
}

final class Greet: JobEntry {
    static let info = EntryInfo(
        id: "greet", description: "Says hello and counts.", idempotent: true, defaultSchedule: "every 10s",
        stateVersion: 1)

    private let settings: GreetSettings

    init(settings: GreetSettings) { self.settings = settings }

    static func validate(_ settings: GreetSettings) throws {
        if settings.name.isEmpty { throw JobFailure.badSettings("name: nobody to greet") }
    }

    func run(_ context: RunContext) throws -> RunOutcome {
        var counter = try context.state(as: Counter.self) ?? Counter()
        for number in 1 ... settings.times {
            try context.checkCancellation()
            context.log.info("Hello, \(settings.name)", fields: ["number": .int(number)])
            context.progress(done: number, total: settings.times)
        }
        counter.greetings += settings.times
        try context.putState(counter)
        context.items(settings.times)
        return .succeeded("\(counter.greetings) greetings so far")
    }
}

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(id: "hello-swift", version: "1.0.0", description: "An example in Swift.", [Greet.self])
}
