import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "deposits", version: "1.0.0",
        description: "Deposits from blockchains: confirmed, credited once, found when a listener missed them.",
        [ConfirmationsEntry.self, CreditEntry.self, ScanEntry.self, StatsEntry.self, StuckEntry.self])
}
