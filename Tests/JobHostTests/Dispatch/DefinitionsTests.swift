import JobConfig
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

    @Test("A sentence for each job with a label that no living host has")
    func unserved() {
        func job(_ name: String, _ runOn: [String] = []) -> JobConfig {
            var job = JobConfig(name: name, plugin: "p", entry: "e", position: SourcePosition(argument: "x"))
            job.runOn = runOn
            return job
        }
        let jobs = [job("eu-fees", ["eu", "uk"]), job("us-fees", ["us"]), job("anywhere")]
        #expect(Definitions.unserved(jobs, [row("a", "us-fees", "d", "l")]) == [
            "job eu-fees: no host that lives has a label of its run_on (eu, uk): its runs wait, and its fires are decided by its catch_up when one comes",
        ])
    }
}
