import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "arena", version: "1.0.0", description: "A market that lives: simulated, or replayed from a file of trades.",
        [TickEntry.self])
}
