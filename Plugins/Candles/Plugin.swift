import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "candles", version: "1.0.0", description: "Candles of every trading pair, from 1m to 1M.",
        [CandlesEntry.self])
}
