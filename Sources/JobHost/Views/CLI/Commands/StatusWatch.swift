import JobCore

/// `jobhost status --watch`: draws over its last picture, so that the newest stays when it is
/// left.
struct StatusWatch {
    let session: CLISession
    let client: APIClient

    func run() async throws {
        let keyboard = session.json || !session.environment.output.isTerminal ? nil : session.environment.keyboard
        await keyboard?.begin()
        defer { keyboard?.end() }
        var picture = Picture()
        while true {
            let output = session.environment.output
            do {
                let (status, json) = try await client.get("/status", as: API.Status.self)
                if session.json {
                    output.write(json.canonicalText + "\n")
                } else {
                    picture.draw(on: output, session.screen) { screen, rows in
                        let hint: [Styled] = keyboard == nil ? [] : [Styled("q ends", .dim)]
                        let view = StatusView(screen: screen)
                        return (rows.map { view.lines(status, rows: $0 - hint.count) } ?? view.lines(status)) + hint
                    }
                }
            } catch let failure as CLIFailure where failure.code == .notRunning || failure.code == .unavailable {
                if session.json { throw failure }
                picture.draw(on: output, session.screen) { screen, _ in
                    screen.wrapped(failure.message + ". Waiting for it.", .warn)
                }
            }
            if try await isLeft(keyboard) { return }
        }
    }

    /// After a second, or a key.
    private func isLeft(_ keyboard: (any Keyboard)?) async throws -> Bool {
        guard let keyboard else {
            try await session.environment.clock.sleep(.seconds(1))
            return false
        }
        // The terminal hands Ctrl-C, Ctrl-D and Ctrl-\ over as keys.
        return [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3, 4, 28].contains(await keyboard.key(within: .seconds(1)))
    }
}

/// What stands on the terminal, to be drawn over.
private struct Picture {
    private var rows = 0
    private var size: (columns: Int, rows: Int)?

    /// `lines` gets how many there may be; nil: as many as there are, it is no terminal.
    mutating func draw(on output: any TextSink, _ screen: Screen, lines: (Screen, _ rows: Int?) -> [Styled]) {
        guard output.isTerminal else {
            output.write(screen.text(lines(screen, nil)) + "\n")
            return
        }
        let now = output.size ?? (80, 24)
        // One line less than the terminal has: the cursor stands on the last.
        let room = max(1, now.rows - 1)
        let shown = Array(lines(screen, room).prefix(room))
        output.write(back(now) + screen.text(shown))
        (rows, size) = (shown.count, now)
    }

    /// To the place of the last picture, which is wiped (ECMA-48: CPL §8.3.13, ED §8.3.39, CUP
    /// §8.3.21). In a resized terminal its lines may have been broken anew: all is wiped.
    private func back(_ now: (columns: Int, rows: Int)) -> String {
        guard rows > 0, let size else { return "" }
        return size == now ? "\u{1B}[\(rows)F\u{1B}[J" : "\u{1B}[H\u{1B}[2J"
    }
}
