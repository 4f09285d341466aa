import Glibc

/// `scripts/soak days`: days from FIRST to LAST, one after the other, as fast as a release build can. What breaks a
/// promise ends it, with the story and the command that repeats it.
@main struct Simulate {
    static func main() {
        let numbers = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
        guard numbers.count == 2, numbers[0] <= numbers[1] else {
            print("usage: Simulate FIRST LAST")
            exit(2)
        }
        for seed in numbers[0]...numbers[1] {
            guard let failure = SimulatedWorld.failure(SimulatedWorld.day(seed)) else { continue }
            print(failure)
            exit(1)
        }
    }
}
