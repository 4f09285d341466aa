import Testing

@testable import JobHost

struct PageFilesTests {
    /// What the policy in the headers would block never gets into the page.
    @Test func thePageKeepsToItsOwnPolicy() throws {
        for file in PageFiles.all where file.name.hasSuffix(".html") {
            let text = String(decoding: file.bytes, as: UTF8.self)
            #expect(!text.contains(" style="), "\(file.name)")
            #expect(!text.contains("<style"), "\(file.name)")
            #expect(!text.contains("<script>"), "\(file.name)")
            #expect(!text.contains(" onclick="), "\(file.name)")
            #expect(!text.contains("\"http://") && !text.contains("\"https://"), "\(file.name)")
        }
    }
}
