import JobABI
import Testing

/// The contract as Swift sees it. Literal on purpose: plugins compiled years ago carry these
/// numbers. (`layout.c` checks the offset of every member, JobWorkerTests that the header
/// compiles alone as C and C++.)
@Suite struct LayoutTests {
    @Test func `Structs have the size they grew to`() {
        #expect(MemoryLayout<job_str>.size == 16)
        #expect(MemoryLayout<job_plugin>.size == 64)
        // 136 before `doctor`, 144 before `schema`.
        #expect(MemoryLayout<job_entry>.size == 152)
        #expect(MemoryLayout<job_host>.size == 40)
        #expect(MemoryLayout<job_error>.size == 24)
        #expect(MemoryLayout<job_findings>.size == 24)
        #expect(MemoryLayout<job_context>.size == 224)
        #expect(MemoryLayout<job_metrics>.size == 32)
    }

    @Test func `Every struct but job_str begins with its size`() {
        #expect(MemoryLayout<job_plugin>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_entry>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_host>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_error>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_findings>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_context>.offset(of: \.struct_size) == 0)
        #expect(MemoryLayout<job_metrics>.offset(of: \.struct_size) == 0)
    }

    @Test func `Codes keep their numbers`() {
        #expect(
            [
                JOB_SUCCEEDED, JOB_NOTHING_TO_DO, JOB_RETRY, JOB_FAILED, JOB_SNOOZE, JOB_CANCELLED, JOB_BAD_SETTINGS,
            ] == [0, 1, 2, 3, 4, 5, 6])
        #expect([JOB_OK, JOB_E_INVALID, JOB_E_TOO_LARGE, JOB_E_LIMIT] == [0, -1, -2, -3])
        #expect([JOB_LOG_DEBUG, JOB_LOG_INFO, JOB_LOG_WARNING, JOB_LOG_ERROR, JOB_LOG_CRITICAL] == [1, 2, 3, 4, 5])
        #expect([JOB_FINDING_OK, JOB_FINDING_WARNING, JOB_FINDING_ERROR] == [1, 2, 3])
        #expect([JOB_STATE_ON_SUCCESS, JOB_STATE_ALWAYS] == [0, 1])
        #expect([JOB_ENTRY_IDEMPOTENT, JOB_ENTRY_CANCELLABLE] == [1, 2])
        #expect(JOB_ABI_VERSION == 1)
        #expect(JOB_EXT_METRICS == "jobhost.metrics/1")
    }
}
