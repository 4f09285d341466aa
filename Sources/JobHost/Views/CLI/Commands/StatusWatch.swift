import JobCore

/// `jobhost status --watch`: draws over its last picture, so that the newest stays when it is
/// left with Ctrl-C.
struct StatusWatch {
    let session: CLISession
    let client: APIClient

    func run() async throws {
        var drawn = 0
        while true {
            let lines: [Styled]
            do {
                let (status, json) = try await client.get("/status", as: API.Status.self)
                if session.json {
                    session.environment.output.write(json.canonicalText + "\n")
                    try await pause()
                    continue
                }
                lines = StatusView(screen: session.screen).lines(status)
            } catch let failure as CLIFailure where failure.code == .notRunning || failure.code == .unavailable {
                if session.json { throw failure }
                lines = session.screen.wrapped(failure.message + ". Waiting for it.", .warn)
            }
            drawn = draw(lines, over: drawn)
            try await pause()
        }
    }

    private func pause() async throws { try await session.environment.clock.sleep(.seconds(1)) }

    /// How many lines are on the screen now.
    private func draw(_ lines: [Styled], over last: Int) -> Int {
        let output = session.environment.output
        guard output.isTerminal else {
            output.write(session.screen.text(lines) + "\n")
            return 0
        }
        // One line less than the terminal has: the cursor stands on the last.
        let room = max(1, (output.size?.rows ?? 24) - 1)
        let shown = Array(lines.prefix(room))
        // CPL (to the start of the first line of the last picture), then ED (ECMA-48 §8.3.13, §8.3.39).
        let back = last > 0 ? "\u{1B}[\(last)F\u{1B}[J" : ""
        output.write(back + session.screen.text(shown))
        return shown.count
    }
}
