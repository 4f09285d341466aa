import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "tickers", version: "1.0.0", description: "24-hour statistics of every trading pair.", [TickersEntry.self])
}
