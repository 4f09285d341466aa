import Testing

@testable import JobHost

@Suite("One at a time, over awaits") struct TurnstileTests {
    private actor Counter {
        private let turns = Turnstile()
        private(set) var value = 0
        private(set) var order: [Int] = []

        /// As a switch is thrown: read, wait for somebody else, write.
        func add(_ number: Int) async {
            await turns.enter()
            defer { turns.leave() }
            let before = value
            await Task.yield()
            value = before + 1
            order.append(number)
        }
    }

    @Test("Nobody writes over what another has written meanwhile")
    func noneIsLost() async {
        let counter = Counter()
        await withTaskGroup { group in
            for number in 0..<100 { group.addTask { await counter.add(number) } }
        }
        #expect(await counter.value == 100)
        #expect(await Set(counter.order).count == 100)
    }
}
