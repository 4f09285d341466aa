import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Arena
@testable import Candles
@testable import Competitions
@testable import Deposits
@testable import ExchangeKit
@testable import MarginCheck
@testable import MintQueue
@testable import OrderExpiry
@testable import Reconciler
@testable import Tickers

/// What each plugin needs of the database, and that docs/JOBS.md says so.
@Suite struct RightsTests {
    private static let plugins: [StatementSet] = [
        .arena, .candles, .competitions, .deposits, .marginCheck, .mintQueue, .orderExpiry, .reconciler, .tickers,
    ]

    /// "| `candles` | SELECT: `pairs`, `trades` · SELECT, INSERT: … |"
    private func row(_ statements: StatementSet) throws -> String {
        let needs = try SchemaNeeds(statements, .postgresql, simulation: statements.name == "arena")
        var groups: [String: [String]] = [:]
        for (table, use) in needs.tables where table != "exchange_info" {
            groups[use.rights.map { String($0.prefix { $0 != " " }) }.joined(separator: ", "), default: []].append(table)
        }
        let parts = groups.sorted { ($0.key.count, $0.key) < ($1.key.count, $1.key) }.map { rights, tables in
            "\(rights): " + tables.sorted().map { "`\($0)`" }.joined(separator: ", ")
        }
        return "| `\(statements.name)` | \(parts.joined(separator: " · ")) |"
    }

    @Test(arguments: plugins.indices) func `The documentation names the rights of each plugin`(_ index: Int) throws {
        var root = URL(filePath: #filePath).resolvingSymlinksInPath()
        for _ in 0 ..< 3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appending(path: "docs/JOBS.md"), encoding: .utf8)
        let row = try row(Self.plugins[index])
        #expect(text.split(separator: "\n").contains { $0 == row }, "docs/JOBS.md, Rights, should say: \(row)")
    }

    /// On a database that was made for one plugin alone all of its statements compile.
    @Test(arguments: plugins.indices) func `What is made for a plugin is enough for its statements`(_ index: Int) throws {
        let statements = Self.plugins[index]
        let connection = try SQLiteConnection(path: ":memory:")
        for object in try SchemaPlan(statements, .sqlite, simulation: true).objects { try connection.execute(object.sql) }
        try connection.execute(Exchange.infoRow(.simulation, at: 0))
        let exchange = Exchange(connection: connection, place: "memory", statements: statements)
        #expect(try exchange.statementFaults() == [])
        #expect(try SchemaCheck(plan: SchemaPlan(statements, .sqlite, simulation: true), connection: connection).faults() == [])
    }
}
