import JobKit

@_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
    JobPlugin.export(
        id: "competitions", version: "1.0.0",
        description: "Ends trading competitions and challenges: ranks, pays prizes, refunds.",
        [EndEntry.self, FinalizeChallengesEntry.self])
}
