import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "arena", version: "1.0.0", description: "A market that lives: simulated, replayed or of real prices; agents trade in it.",
        [TickEntry.self, TradeWindowEntry.self, SnapshotEntry.self])
}
