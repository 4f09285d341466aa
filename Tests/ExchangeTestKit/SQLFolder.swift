import ExchangeKit
import Foundation
import SQL

/// The names of statements whose text in a library is not what stands in its sql folder; empty when
/// scripts/embed-sql has been run.
///
/// - Parameter folder: such as "Plugins/Candles".
public func notEmbedded(_ statements: StatementSet, _ folder: String, test: String = #filePath) throws -> [String] {
    var root = URL(filePath: test).resolvingSymlinksInPath().deletingLastPathComponent()
    while root.lastPathComponent != "Tests" { root.deleteLastPathComponent() }
    root.deleteLastPathComponent()
    var wrong: [String] = []
    for (dialect, name) in [(SQLDialect.sqlite, "sqlite"), (.postgresql, "postgres")] {
        var embedded = statements.files(dialect)
        let place = root.appending(path: "\(folder)/sql/\(name)")
        let files = (try? FileManager.default.contentsOfDirectory(at: place, includingPropertiesForKeys: nil)) ?? []
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .newlines)
            let statement = file.deletingPathExtension().lastPathComponent
            if embedded.removeValue(forKey: statement) != text { wrong.append("\(name)/\(statement)") }
        }
        wrong += embedded.keys.map { "\(name)/\($0)" }
    }
    return wrong
}
