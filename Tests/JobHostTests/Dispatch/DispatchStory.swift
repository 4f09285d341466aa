import JobConfig
import JobCore

/// What tests share that tell a story of a simulated host on one day.
protocol DispatchStory {}

extension DispatchStory {
    func every(_ seconds: Int) -> ScheduleSpec { .every(.seconds(seconds), phase: .zero) }
    /// A time of the story's day.
    func at(_ text: String) -> Instant { Instant(rfc3339: "2026-01-01T\(text)Z")! }
    func host(_ time: String = "00:00:00.500") -> SimulatedHost { SimulatedHost(at: "2026-01-01T\(time)Z") }
}
