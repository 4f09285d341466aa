/// Carries the loop-confined process room across closures that are sent to other threads.
/// Unchecked, because the rule is not the compiler's: `room` is touched on the loop only.
struct RoomHandle: @unchecked Sendable {
    let loop: EventLoop
    let room: any WorkerRoom

    /// Loads a library in a throwaway worker and asks it about settings. From any task.
    func probe(_ spec: PoolSpec, _ questions: [SettingsQuestion]) async -> ProbeResult {
        await withCheckedContinuation { continuation in
            loop.post {
                room.probe(spec, questions: questions) { continuation.resume(returning: $0) }
            }
        }
    }

    func examine(_ spec: PoolSpec, _ question: DoctorQuestion) async -> ExaminationResult {
        await withCheckedContinuation { continuation in
            loop.post {
                room.examine(spec, question) { continuation.resume(returning: $0) }
            }
        }
    }

    /// A program of the operator's, with a text on its standard input. nil: it ended well.
    func run(errand command: [String], input: [UInt8]) async -> String? {
        await withCheckedContinuation { continuation in
            loop.post {
                room.run(errand: command, input: input) { continuation.resume(returning: $0) }
            }
        }
    }

    /// On the loop, awaited.
    func onLoop(_ body: @escaping @Sendable (any WorkerRoom) -> Void) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            loop.post {
                body(room)
                continuation.resume()
            }
        }
    }
}
