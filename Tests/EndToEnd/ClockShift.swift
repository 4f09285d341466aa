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
    private let address: Int

    /// `folder`: where the library and the file go.
    init(_ test: TestHost) async throws {
        let source = try #require(Proc.text(of: TestHost.sources + "/scripts/clockshift.c"))
        try await test.sharedLibrary("clockshift", source)
        let path = test.folder + "/clock"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        guard file >= 0, ftruncate(file, 4_096) == 0,
            let memory = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED
        else { throw TestHost.Failure("cannot map \(path): \(errno)") }
        address = Int(bitPattern: memory)
        environment = ["LD_PRELOAD": test.folder + "/libclockshift.so", "CLOCK_SHIFT": path]
    }

    deinit { munmap(UnsafeMutableRawPointer(bitPattern: address), 4_096) }

    /// Sets the host's wall clock: so many seconds from the machine's. Heard of within 50 ms.
    func set(_ seconds: Int64) { UnsafeMutablePointer<Int64>(bitPattern: address)?.pointee = seconds }
}
