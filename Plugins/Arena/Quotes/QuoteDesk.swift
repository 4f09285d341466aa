import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// All providers: what the first does not know, or does not answer, the next one is asked for.
struct QuoteDesk: Sendable {
    struct Provider: Sendable {
        let peer: Peer
        let adapter: any QuoteAdapter
    }
    let providers: [Provider]
    let batch: Int
    /// Milliseconds.
    let maxAge: Int64
    let isDelayed: Bool

    init(_ providers: [Provider], batch: Int, maxAge: Int64, isDelayed: Bool) {
        self.providers = providers
        self.batch = batch
        self.maxAge = maxAge
        self.isDelayed = isDelayed
    }

    var peers: [Peer] { providers.map(\.peer) }

    struct Answer: Sendable {
        var board: QuoteBoard
        /// Sentences about what went wrong, for the log.
        var notes: [String] = []
        /// How many prices came from whom.
        var sources: [String: Int] = [:]
    }

    /// Inside `Outside.run`.
    ///
    /// - Parameters:
    ///   - clock: the market's; with delayed prices they are asked for as of then.
    ///   - isDelayed: the market is behind, whatever the settings here say.
    ///   - isOver: asked before each request: no more is sent.
    ///   - elapsed: milliseconds of a clock that nobody sets.
    /// - Throws: `CancellationNotice`; nothing else: who does not answer is a note.
    func fetch(
        _ pairs: [String], clock: Int64, isDelayed: Bool = false, isOver: () -> Bool = { false },
        elapsed: () -> Int64 = { ExchangeClock.system.elapsed() }
    ) throws -> Answer {
        let began = elapsed()
        let isDelayed = isDelayed || self.isDelayed
        var answer = Answer(board: QuoteBoard(pairs, clock: clock, maxAge: maxAge, isDelayed: isDelayed))
        for provider in providers {
            for part in answer.board.batches(of: batch) {
                if isOver() { return answer }
                try ask(provider, part, asOf: isDelayed ? clock : nil, &answer, passed: { elapsed() - began })
            }
        }
        return answer
    }

    /// Into log and metrics.
    func tell(_ answer: Answer, _ context: RunContext) {
        for note in answer.notes { context.log.warning(note) }
        for provider in providers {
            let name = provider.peer.name
            for transition in provider.peer.tally.transitions { context.log.warning("\(name): breaker \(transition.to), \(transition.reason)") }
            context.metrics.counter("arena_quotes", Double(answer.sources[name] ?? 0), labels: ["provider": name])
            context.metrics.counter("arena_quote_failures", Double(provider.peer.tally.failed), labels: ["provider": name])
        }
        context.metrics.gauge("arena_quotes_missing", Double(answer.board.missing.count))
    }

    private func ask(
        _ provider: Provider, _ pairs: [String], asOf instant: Int64?, _ answer: inout Answer, passed: () -> Int64
    ) throws {
        let name = provider.peer.name
        do {
            let quotes = try provider.adapter.quotes(pairs, asOf: instant) { what, body in
                try provider.peer.call(what, body)
            }
            for quote in quotes {
                let missing = answer.board.missing.count
                if let why = answer.board.offer(quote, passed: passed()) { answer.notes.append("\(name): \(why)") }
                answer.sources[name, default: 0] += missing - answer.board.missing.count
            }
        } catch let error as CallError where error.kind == .business && pairs.count > 1 {
            // One of them is not known there: it must not blind us for the others.
            for pair in pairs { try ask(provider, [pair], asOf: instant, &answer, passed: passed) }
        } catch let error as CallError {
            answer.notes.append(error.text)
        } catch let error as AmountError {
            answer.notes.append("\(name): \(error)")
        }
    }
}
