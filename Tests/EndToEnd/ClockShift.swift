import Glibc
import Testing

/// A wall clock for one host that the test sets: a preloaded library of a few lines shifts what
/// CLOCK_REALTIME reads and, as the kernel does, wakes timers that asked to hear of it.
///
/// Debian's libfaketime does not do for this host: preloaded, it hides the arguments from a Swift
/// program, and it shifts timers of CLOCK_BOOTTIME along with those of CLOCK_REALTIME. A time
/// namespace leaves CLOCK_REALTIME alone, and the machine's own clock belongs to others. Nothing
/// of this is in the host: it reads its clocks as ever.
final class ClockShift: Sendable {
    /// What the host is to be started with.
    let environment: [String: String]
    private let page: SharedPage

    /// `folder`: where the library and the file go.
    init(_ test: TestHost) async throws {
        let source = try #require(Proc.text(of: TestHost.sources + "/scripts/clockshift.c"))
        try await test.sharedLibrary("clockshift", source)
        let path = test.folder + "/clock"
        page = try SharedPage(path)
        environment = ["LD_PRELOAD": test.folder + "/libclockshift.so", "CLOCK_SHIFT": path]
    }

    /// Sets the host's wall clock: so many seconds from the machine's. Heard of within 50 ms.
    func set(_ seconds: Int64) { page.set(seconds) }
}
