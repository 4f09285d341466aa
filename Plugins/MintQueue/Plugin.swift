import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "mint-queue", version: "1.0.0",
        description: "Consumes what the application enqueues: mints after a sale, positions to be placed again.",
        [MintEntry.self, ManagePositionEntry.self])
}
