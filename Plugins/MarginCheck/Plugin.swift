import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "margin-check", version: "1.0.0",
        description: "Margin calls and liquidations, behind the application's own monitoring.", [MarginCheckEntry.self])
}
