import Testing

@testable import JobHost

/// The page in the binary is the page in the repository.
struct PageFilesTests {
    private func folder() -> String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
            + "/Sources/JobHost/Views/Dashboard/static/"
    }

    @Test func embeddedFilesAreThoseOfTheFolder() throws {
        let names = try Files.names(folder())
        #expect(names.sorted() == PageFiles.all.map(\.name).sorted(), "run scripts/embed-page")
        for file in PageFiles.all {
            #expect(try Files.read(folder() + file.name) == String(decoding: file.bytes, as: UTF8.self), "\(file.name): run scripts/embed-page")
        }
    }

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
