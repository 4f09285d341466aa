import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "reconciler", version: "1.0.0",
        description: "Asks other exchanges what became of the orders placed there.", [ReconcilerEntry.self])
}
