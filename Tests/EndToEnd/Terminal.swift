import Glibc

/// A pseudo-terminal, for what a program does to the one that it is started at.
struct Terminal {
    /// Of the end that programs get.
    let path: String
    private let master: Int32
    private let slave: Int32

    init() throws {
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
        guard master >= 0, grantpt(master) == 0, unlockpt(master) == 0, let name = ptsname(master) else {
            throw TestHost.Failure("no terminal: \(errno)")
        }
        path = String(cString: name)
        slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard slave >= 0 else { throw TestHost.Failure("cannot open \(path): \(errno)") }
    }

    /// What is typed is shown.
    var echoes: Bool {
        var mode = termios()
        return tcgetattr(slave, &mode) == 0 && mode.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Takes what has been written, so that nobody waits for room.
    func drain() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while read(master, &buffer, buffer.count) > 0 {}
    }

    func close() {
        _ = Glibc.close(slave)
        _ = Glibc.close(master)
    }
}
