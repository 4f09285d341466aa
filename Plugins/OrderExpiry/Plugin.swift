import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "order-expiry", version: "1.0.0",
        description: "Ends orders past their time and gives back what they hold.", [OrderExpiryEntry.self])
}
