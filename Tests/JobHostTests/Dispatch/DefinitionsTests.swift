import JobStore
import Testing

@testable import JobHost

@Suite("Where hosts of one store differ") struct DefinitionsTests {
    private func row(_ host: String, _ job: String, _ digest: String, _ library: String) -> DefinitionRow {
        DefinitionRow(host: host, job: job, digest: digest, library: library)
    }

    @Test("A sentence for each job of which configs or libraries differ; jobs of one host alone, and equal ones, are none")
    func sentences() {
        #expect(Definitions.differences([]) == [])
        let rows = [
            row("a", "same", "d", "l"), row("b", "same", "d", "l"), row("a", "alone", "d", "l"),
            row("c", "mint", "1", "l"), row("a", "mint", "2", "l"), row("b", "mint", "1", "k"),
            row("a", "fees", "d", "old"), row("b", "fees", "d", "new"),
        ]
        #expect(Definitions.differences(rows) == [
            "job fees: a and b run different libraries of it", "job mint: a, b and c run different configs of it",
        ])
    }
}
