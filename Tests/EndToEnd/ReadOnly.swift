import Glibc
import Testing

/// A state folder whose file system is read-only from one moment to the next, for one host: a preloaded library answers
/// as the kernel does then, also to what is written to files that have been open since before. (The kernel itself refuses to
/// make a file system read-only while something is open for writing; where it does so for a fault of the disk, nothing
/// makes it writable again before it has been unmounted: see `Image`.)
final class ReadOnly: Sendable {
    /// What the host is to be started with.
    let environment: [String: String]
    private let page: SharedPage

    init(_ test: TestHost, folder: String) async throws {
        try await test.sharedLibrary("readonly", Self.source)
        let path = test.folder + "/switch"
        page = try SharedPage(path)
        environment = ["LD_PRELOAD": test.folder + "/libreadonly.so", "READ_ONLY_SWITCH": path, "READ_ONLY_FOLDER": folder]
    }

    func set(_ isOn: Bool) { page.set(isOn ? 1 : 0) }

    private static let source = """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <stdarg.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        static volatile char *on;
        static char folder[4096];
        static size_t length;
        __attribute__((constructor)) static void begin(void) {
            const char *path = getenv("READ_ONLY_SWITCH"), *name = getenv("READ_ONLY_FOLDER");
            int file = path && name ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            void *memory = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
            if (file >= 0) close(file);
            if (memory == MAP_FAILED) return;
            length = (size_t)snprintf(folder, sizeof folder, "%s", name);
            on = memory;
        }
        static int lies_inside(const char *path) {
            char whole[8192];
            if (path[0] != '/') {
                char current[4096];
                if (!getcwd(current, sizeof current)) return 0;
                snprintf(whole, sizeof whole, "%s/%s", current, path);
                path = whole;
            }
            return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
        }
        static int refused(int is_inside) {
            if (is_inside) errno = EROFS;
            return is_inside;
        }
        static int refuses_path(const char *path) { return on && *on && refused(lies_inside(path)); }
        static int refuses_file(int fd) {
            if (!on || !*on) return 0;
            char link[64], path[4096];
            struct stat found;
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t size = readlink(link, path, sizeof path - 1);
            if (size <= 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) return 0;
            path[size] = 0;
            return refused(lies_inside(path));
        }
        static int opens(int at, const char *path, int flags, mode_t mode) {
            int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC || ((flags & O_CREAT) && access(path, F_OK) != 0);
            return writes && refuses_path(path) ? -1 : (int)syscall(SYS_openat, at, path, flags, mode);
        }
        #define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }
        int open(const char *path, int flags, ...) { MODE return opens(AT_FDCWD, path, flags, mode); }
        int open64(const char *path, int flags, ...) { MODE return opens(AT_FDCWD, path, flags, mode); }
        int openat(int at, const char *path, int flags, ...) { MODE return opens(at, path, flags, mode); }
        int openat64(int at, const char *path, int flags, ...) { MODE return opens(at, path, flags, mode); }
        ssize_t write(int fd, const void *bytes, size_t size) { return refuses_file(fd) ? -1 : syscall(SYS_write, fd, bytes, size); }
        ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return refuses_file(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, at); }
        ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) { return refuses_file(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, at); }
        int ftruncate(int fd, off_t size) { return refuses_file(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
        int ftruncate64(int fd, off64_t size) { return refuses_file(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
        int unlink(const char *path) { return refuses_path(path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
        int rename(const char *from, const char *to) { return refuses_path(to) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
        int mkdir(const char *path, mode_t mode) { return refuses_path(path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }
        """
}

/// A disk of its own: a file system in a file, which the kernel makes read-only when it finds a fault in it.
struct Image {
    let folder: String
    private let file: String

    /// Whether this process may mount one, and the kernel lets it have faults.
    static let isPossible: Bool = Mount.isPossible && access("/dev/loop-control", R_OK | W_OK) == 0 && access("/sys/fs/ext4", X_OK) == 0
        && access("/sbin/mkfs.ext4", X_OK) == 0 && access("/sbin/e2fsck", X_OK) == 0

    init(_ test: TestHost, at folder: String) async throws {
        (self.folder, file) = (folder, test.folder + "/image")
        mkdir(folder, 0o755)
        let image = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(image) }
        guard image >= 0, ftruncate(image, 64 << 20) == 0 else { throw TestHost.Failure("cannot make \(file): \(errno)") }
        try await run("/sbin/mkfs.ext4", "-q", "-F", "-m", "0", file)
        try await mount()
    }

    private func run(_ program: String, _ arguments: String..., codes: Set<Int32> = [0]) async throws {
        let child = try Child(program, arguments, environment: [:], folder: "/")
        let code = await child.exitCode()
        guard codes.contains(code) else { throw TestHost.Failure("\(program): \(code) \(child.output.all) \(child.errors.all)") }
    }

    private func mount() async throws { try await run("/bin/mount", "-o", "loop,errors=remount-ro", file, folder) }

    /// The kernel finds a fault.
    func fail() throws {
        let mounts = Proc.text(of: "/proc/self/mounts")?.split(separator: "\n").map { $0.split(separator: " ") } ?? []
        guard let device = mounts.first(where: { $0.count > 1 && $0[1] == folder })?[0].split(separator: "/").last else {
            throw TestHost.Failure("\(folder) is not mounted")
        }
        let trigger = open("/sys/fs/ext4/\(device)/trigger_fs_error", O_WRONLY | O_CLOEXEC)
        defer { close(trigger) }
        guard trigger >= 0, write(trigger, "test", 4) == 4 else { throw TestHost.Failure("no fault on \(device): \(errno)") }
    }

    /// As an administrator does: when nobody uses it any more it is repaired and mounted again.
    func repair() async throws {
        try await run("/bin/umount", folder)
        try await run("/sbin/e2fsck", "-f", "-y", file, codes: [0, 1])
        try await mount()
    }

    func end() async {
        if let unmount = try? Child("/bin/umount", ["-l", folder], environment: [:], folder: "/") { _ = await unmount.exitCode() }
    }
}
