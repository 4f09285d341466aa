import JobCore
import JobStore
import SQL
import StoreSuite
import Testing

@Suite struct RulesOnSQLite {
    @Test(arguments: StoreSuite.rules)
    func rule(_ rule: StoreSuite.Rule) async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            do {
                try await rule.check(StoreSuite(store: store))
            } catch let broken as BrokenRule {
                Issue.record("\(rule): \(broken)")
            }
            await store.close()
            #expect(try LedgerCheck.violations(in: file.path) == [])
            #expect(try await Upkept.broken(.file(file.path)) == [])
        }
    }
}
