#define _GNU_SOURCE
#include "clinux_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock's ABI, as Documentation/userspace-api/landlock.rst has it: older systems' headers
 * lack parts of it. */
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446
#define LANDLOCK_VERSION 1u
#define LANDLOCK_PATH_BENEATH 1

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_MAKE_BLOCK (1ull << 11)
#define FS_ABI_1 ((1ull << 13) - 1) /* up to making symbolic links */
#define FS_REFER (1ull << 13)       /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)    /* ABI 3 */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)               /* ABI 6 */

struct ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};
struct path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* What programs need to start, to resolve names and to tell the time. */
static const char *const system_read[] = {
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/localtime", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/passwd", "/etc/group", "/etc/ssl", "/dev/random", "/dev/urandom",
};
static const char *const system_write[] = {"/dev/null", "/dev/zero", "/dev/full"};

int clw_landlock_version(void) {
    return (int)syscall(LANDLOCK_CREATE_RULESET, NULL, (size_t)0, LANDLOCK_VERSION);
}

static int allow(int rules, const char *path, uint64_t access) {
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0) return -1;
    struct stat found;
    int result = fstat(file, &found);
    if (result == 0) {
        struct path_beneath rule = {.allowed_access = access, .parent_fd = file};
        if (!S_ISDIR(found.st_mode)) rule.allowed_access &= FS_OF_FILES;
        result = (int)syscall(LANDLOCK_ADD_RULE, rules, LANDLOCK_PATH_BENEATH, &rule, 0u);
    }
    int problem = errno;
    close(file);
    errno = problem;
    return result;
}

/* 0: every path; else the first that failed is in *culprit, with errno. */
static int allow_all(int rules, const char *const *paths, size_t count, uint64_t access, bool optional, const char **culprit) {
    for (size_t i = 0; i < count; i++) {
        if (allow(rules, paths[i], access) == 0 || (optional && errno == ENOENT)) continue;
        *culprit = paths[i];
        return -1;
    }
    return 0;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int clw_confine(
    bool files, const char *const *read, size_t read_count, const char *const *write, size_t write_count, const char **culprit) {
    *culprit = NULL;
    int version = clw_landlock_version();
    if (version < 1) return files ? -1 : 0;
    struct ruleset rules = {0};
    if (files) rules.handled_access_fs = FS_ABI_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0);
    /* A process in a domain reaches nobody outside by ptrace's rules either, which guard /proc/PID/environ and mem. A
     * domain must forbid something: the making of block devices, which no job needs. In a domain that does not say
     * otherwise nothing can be renamed from one folder into another, and before ABI 2 nothing can say so. */
    else if (version >= 2) rules.handled_access_fs = FS_MAKE_BLOCK | FS_REFER;
    /* Signals, and sockets without a name in the file system, stay among those in the sandbox. */
    if (version >= 6) rules.scoped = SCOPE_SIGNAL | SCOPE_ABSTRACT_UNIX_SOCKET;
    if (!rules.handled_access_fs && !rules.scoped) return 0;
    size_t size = version >= 6 ? sizeof rules : offsetof(struct ruleset, handled_access_net);
    int set = (int)syscall(LANDLOCK_CREATE_RULESET, &rules, size, 0u);
    if (set < 0) return -1;
    uint64_t reading = FS_READ_FILE | FS_READ_DIR | FS_EXECUTE;
    uint64_t devices = (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE) & rules.handled_access_fs;
    int result = 0;
    if (files) {
        result = allow_all(set, system_read, COUNT(system_read), reading, true, culprit);
        if (result == 0) result = allow_all(set, system_write, COUNT(system_write), devices, true, culprit);
        if (result == 0) result = allow_all(set, read, read_count, reading, false, culprit);
        if (result == 0) result = allow_all(set, write, write_count, rules.handled_access_fs, false, culprit);
    } else if (rules.handled_access_fs) {
        result = allow(set, "/", FS_REFER);
    }
    if (result == 0) result = (int)syscall(LANDLOCK_RESTRICT_SELF, set, 0u);
    int problem = errno;
    close(set);
    errno = problem;
    return result;
}

/* What no job needs, and what reaches beyond the process. */
static const int forbidden[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_perf_event_open, SYS_bpf, SYS_userfaultfd,
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_by_handle_at, SYS_unshare, SYS_setns,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_acct, SYS_quotactl, SYS_syslog,
    SYS_sethostname, SYS_setdomainname, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_personality,
    425 /* io_uring_setup: its operations pass by every filter */, 426, 427,
    428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431, 432, 433, 438 /* pidfd_getfd */, 442 /* mount_setattr */,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm,
#endif
};

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

int clw_filter_calls(bool network) {
#ifndef THIS_ARCHITECTURE
    (void)network;
    errno = ENOSYS;
    return -1;
#else
    struct sock_filter program[2 * COUNT(forbidden) + 32];
    unsigned short size = 0;
#define EMIT(...) program[size++] = (struct sock_filter)__VA_ARGS__
#define LOAD(field) EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field)))
#define RETURN(value) EMIT(BPF_STMT(BPF_RET | BPF_K, value))
#define REFUSE(problem) RETURN(SECCOMP_RET_ERRNO | (problem))
    LOAD(arch);
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0));
    REFUSE(EPERM);
    LOAD(nr);
#ifdef __x86_64__
    /* x32: the same calls by other numbers. */
    EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    REFUSE(ENOSYS);
#endif
    for (size_t i = 0; i < COUNT(forbidden); i++) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden[i], 0, 1));
        REFUSE(EPERM);
    }
    /* Its flags are out of a filter's reach; without it C libraries use clone. */
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 435, 0, 1));
    REFUSE(ENOSYS);
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    LOAD(args[0]);
    EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1));
    REFUSE(EPERM);
    RETURN(SECCOMP_RET_ALLOW);
    if (!network) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 4));
        LOAD(args[0]);
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0));
        REFUSE(EPERM);
        RETURN(SECCOMP_RET_ALLOW);
    }
    RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = size, .filter = program};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
#endif
}

int clw_lower_priority(int by) {
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (now == -1 && errno != 0) return -1;
    return setpriority(PRIO_PROCESS, 0, now + by > 19 ? 19 : now + by);
}
