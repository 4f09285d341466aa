import Foundation

/// Small stacks: a worker's memory limit counts all of a thread's stack.
private let stackSize = 512 << 10

private struct Progress<Result: Sendable>: Sendable {
    var next = 0
    var running: Int
    var results: [Result?]
}

/// Applies `body` to every item, at most `width` at the same time, in threads that have ended
/// when it returns. Results are in the order of the items.
func parallelMap<Item: Sendable, Result: Sendable>(
    _ items: [Item], width: Int, _ body: @escaping @Sendable (Item) -> Result
) -> [Result] {
    let threads = min(max(1, width), items.count)
    guard threads > 1 else { return items.map(body) }
    let progress = Monitor(Progress<Result>(running: threads, results: Array(repeating: nil, count: items.count)))
    @Sendable func work() {
        while let index = progress.withLock({ progress -> Int? in
            guard progress.next < items.count else { return nil }
            progress.next += 1
            return progress.next - 1
        }) {
            let result = body(items[index])
            progress.withLock { $0.results[index] = result }
        }
        progress.change { $0.running -= 1 }
    }
    for _ in 1 ..< threads {
        let thread = Thread { work() }
        thread.stackSize = stackSize
        thread.start()
    }
    work()
    return progress.wait(upTo: nil) { $0.running == 0 ? $0.results.compactMap(\.self) : nil } ?? []
}
