import Glibc

/// A pseudo-terminal, for what a program does to the one that it is started at.
struct Terminal {
    /// Of the end that programs get.
    let path: String
    private let master: Int32
    private let slave: Int32

    init() throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
        // TIOCSPTLCK and TIOCGPTN: what unlockpt and ptsname do, which the C library hides from Swift.
        var lock: Int32 = 0
        var number: UInt32 = 0
        guard master >= 0, ioctl(master, 0x4004_5431, &lock) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw TestHost.Failure("no terminal: \(errno)")
        }
        path = "/dev/pts/\(number)"
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
