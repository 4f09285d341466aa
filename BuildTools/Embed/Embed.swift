import Foundation
import PackagePlugin

/// Writes what travels inside a binary as text into Swift, at every build that finds it changed: the SQL of
/// ExchangeKit and of a plugin (its `sql` folder), the files of the page (`Views/Dashboard/static`).
@main
struct Embed: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let work = context.pluginWorkDirectoryURL
        let kinds = [("sql", "embed-sql", "Statements.swift"), ("Views/Dashboard/static", "embed-page", "PageFiles.swift")]
        return try kinds.compactMap { folder, script, output -> Command? in
            let source = target.directoryURL.appending(path: folder)
            guard FileManager.default.fileExists(atPath: source.path) else { return nil }
            let command = context.package.directoryURL.appending(path: "scripts/\(script)")
            return .buildCommand(
                displayName: "Embedding \(folder) of \(target.name)",
                executable: URL(filePath: "/bin/sh"),
                arguments: [command.path, source.path, target.name, work.appending(path: output).path],
                inputFiles: try files(below: source) + [command],
                outputFiles: [work.appending(path: output)])
        }
    }

    /// In an order of their own, so that the same files make the same command.
    private func files(below folder: URL) throws -> [URL] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
            .map { folder.appending(path: $0) }
            .filter { !$0.hasDirectoryPath }
    }
}
