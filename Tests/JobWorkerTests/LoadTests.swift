import JobCore
import Testing

@Suite(.timeLimit(.minutes(5)))
struct LoadTests {
    private let workshop: Workshop
    private let worker: WorkerProcess

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
    }

    private func refusal(_ request: LoadRequest) throws -> (RefusalCode, String) {
        try worker.send(.load(request))
        guard case .refused(let code, let message) = try worker.receive() else {
            throw WorkerProcess.Failure(description: "not refused")
        }
        #expect(try worker.end() == .exited(WorkerExit.refused.rawValue))
        return (code, message)
    }
    private func refusal(_ source: String) throws -> (RefusalCode, String) {
        try refusal(LoadRequest(library: workshop.library(source), plugin: "p"))
    }

    @Test func `A library that is not there is refused with dlopen's reason`() throws {
        let (code, message) = try refusal(LoadRequest(library: "/nowhere/libx.so", plugin: "p"))
        #expect(code == .loadFailed)
        #expect(message.contains("/nowhere/libx.so"))
        #expect(message.contains("No such file"))
    }

    @Test func `A file that is no library is refused`() throws {
        let path = try workshop.write("text.so", "this is text")
        let (code, message) = try refusal(LoadRequest(library: path, plugin: "p"))
        #expect(code == .loadFailed)
        #expect(message.contains("file too short") || message.contains("invalid ELF header"))
    }

    @Test func `A library with an undefined symbol is refused at once, not in the middle of a run`() throws {
        let (code, message) = try refusal("void nobody_has_this(void); void f(void) { nobody_has_this(); }")
        #expect(code == .loadFailed)
        #expect(message.contains("nobody_has_this"))
    }

    @Test func `A library without the symbol is refused and told its name`() throws {
        let (code, message) = try refusal("int something_else(void) { return 1; }")
        #expect(code == .noSymbol)
        #expect(message.contains("job_plugin_v1"))
    }

    @Test func `Another wire version is refused`() throws {
        let worker = try WorkerProcess()
        var load = try FrameEncoder.encode(HostFrame.load(LoadRequest(library: "/x", plugin: "p")))
        load[4] = 99
        try worker.sendRaw(load)
        let answer = try worker.receiveRaw()
        #expect(answer[4...6] == [99, 0, 66], "in the words of the host that asks")
        #expect(String(decoding: answer.dropFirst(12), as: UTF8.self)
            == "the worker speaks wire version \(wireVersion), the host 99: jobhost and jobhost-worker must be of one release")
        #expect(try worker.end() == .exited(WorkerExit.refused.rawValue))
    }

    /// Each line breaks the descriptor in one way.
    @Test(arguments: [
        ("", ".struct_size = 8", "", "job_plugin.struct_size is 8"),
        ("", ".id = JOB_STR_INIT(\"Upper\")", "", "job_plugin.id is 'Upper'"),
        ("", ".id = JOB_STR_INIT(\"\")", "", "job_plugin.id is ''"),
        ("", ".id = {NULL, 5}", "", "its pointer is NULL"),
        ("", ".version = JOB_STR_INIT(\"\\xff\\xfe\")", "", "not UTF-8"),
        ("", ".version = {\"x\", 1ull << 62}", "", "64 are allowed"),
        ("", ".entry_count = 0", "", "entry_count is 0"),
        ("", ".entry_count = 4000000000u", "", "entry_count is 4000000000"),
        ("", ".entry_count = 2", "", "two entries have the id 'go'"),
        ("", ".entry = NULL", "", "job_plugin.entry is NULL"),
        ("", ".entry = none", "", "job_plugin.entry(0) returned NULL"),
        (".struct_size = 1", "", "", "entry 0: struct_size is 1"),
        (".run = NULL", "", "", "entry 'go': run is NULL"),
        (".id = JOB_STR_INIT(\"_go\")", "", "", "entry 0: id is '_go'"),
        (".settings_schema = JOB_STR_INIT(\"{nonsense\")", "", "", "settings_schema is not a JSON object"),
        (".description = {\"a\\0b\", 3}", "", "", "without NUL bytes"),
        ("", "", "return NULL;", "returned NULL: the library refuses to be used"),
    ])
    func `A bad descriptor is refused with the place`(entry: String, plugin: String, entryPoint: String, finding: String) throws {
        let (code, message) = try refusal(
            """
            #include "job_abi.h"
            #pragma GCC diagnostic ignored "-Woverride-init"
            #pragma GCC diagnostic ignored "-Wunused-function"
            #pragma GCC diagnostic ignored "-Wunused-const-variable"
            static int32_t run(void *i, const job_context *c) { (void)i; (void)c; return JOB_SUCCEEDED; }
            static const job_entry go = {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("go"), .run = run, \(entry)};
            static const job_entry *at(uint32_t i) { (void)i; return &go; }
            static const job_entry *none(uint32_t i) { (void)i; return NULL; }
            static const job_plugin plugin = {.struct_size = sizeof(job_plugin), .entry_count = 1,
                .id = JOB_STR_INIT("p"), .version = JOB_STR_INIT("1"), .entry = at, \(plugin)};
            JOB_EXPORT const job_plugin *job_plugin_v1(void) { \(entryPoint) return &plugin; }
            """)
        #expect(code == .badDescriptor)
        #expect(message.contains(finding), "\(message)")
    }

    @Test func `A descriptor from a later revision, larger than ours, is accepted`() throws {
        let library = try workshop.library(
            """
            #include "job_abi.h"
            struct grown { job_entry entry; void *later; };
            static int32_t run(void *i, const job_context *c) { (void)i; (void)c; return JOB_SUCCEEDED; }
            static const struct grown go = {{.struct_size = sizeof(struct grown), .id = JOB_STR_INIT("go"), .run = run}, 0};
            static const job_entry *at(uint32_t i) { (void)i; return &go.entry; }
            static const job_plugin plugin = {.struct_size = sizeof(job_plugin) + 64, .entry_count = 1,
                .id = JOB_STR_INIT("p"), .version = JOB_STR_INIT("1"), .entry = at};
            JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
            """)
        #expect(try worker.load(library).entries.map(\.id) == ["go"])
    }

    @Test func `Limits are in force before the plugin's first instruction`() throws {
        let library = try workshop.plugin(
            run: """
                struct rlimit data, files, core;
                getrlimit(RLIMIT_DATA, &data); getrlimit(RLIMIT_NOFILE, &files); getrlimit(RLIMIT_CORE, &core);
                char status[65536] = {0};
                int fd = open("/proc/self/status", O_RDONLY);
                if (read(fd, status, sizeof status - 1) < 0) return JOB_FAILED;
                int privs = strstr(status, "NoNewPrivs:\\t1") != NULL;
                char text[200];
                int n = snprintf(text, sizeof text, "%d %llu %llu %llu %d", early, (unsigned long long)data.rlim_cur,
                    (unsigned long long)files.rlim_cur, (unsigned long long)core.rlim_cur, privs);
                c->summary(c, (job_str){text, (uint64_t)n});
                return JOB_SUCCEEDED;
                """,
            before: """
                static int early;
                __attribute__((constructor)) static void look(void) {
                    struct rlimit data; getrlimit(RLIMIT_DATA, &data); early = data.rlim_cur == 512u << 20;
                }
                """)
        _ = try worker.load(library, memoryLimit: 512 << 20, fileLimit: 100)
        try worker.send(.instance())
        #expect(try worker.run(.go()).result.text == "1 536870912 100 0 1")
    }

    @Test func `Nothing but a load may come first`() throws {
        try worker.send(.shutdown)
        #expect(try worker.end() == .exited(WorkerExit.protocolError.rawValue))
    }

    @Test func `Bytes that are no frame end the worker with its own code`() throws {
        try worker.sendRaw([0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3])
        #expect(try worker.end() == .exited(WorkerExit.protocolError.rawValue))
    }

    @Test func `Started by hand it says how it is used`() throws {
        let worker = try WorkerProcess(arguments: ["--help"])
        #expect(try worker.outputContains("usage: jobhost-worker --fd N"))
        #expect(try worker.end() == .exited(WorkerExit.usage.rawValue))
        #expect(try WorkerProcess(arguments: ["--fd", "1"]).end() == .exited(WorkerExit.usage.rawValue))
    }

    @Test func `The worker exports no symbol that a plugin could be bound to`() throws {
        let (status, output) = try Spawn.run(["nm", "-D", "--defined-only", Binaries.path("jobhost-worker")])
        #expect(status == 0)
        #expect(output == "")
    }
}
