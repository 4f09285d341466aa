import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// Asks a model for each agent that wants one, within what may be spent.
struct ModelMind: AgentMind {
    let settings: ModelSettings
    let http: HTTPClient
    let peer: Peer
    let book: SpendingBook
    let log: RunLogging

    func decide(
        _ questions: [AgentQuestion], _ view: MarketView, _ fees: FeeSchedule,
        tell: (_ agent: String, _ decision: AgentDecision) throws -> Void
    ) throws {
        let chats = questions.map { question in
            (agent: question.agent, chat: ModelTalk.question(
                question, view, fees, model: settings.model(of: question.settings), maxTokens: settings.maxTokens))
        }
        // As many at a time as are in flight: what was paid for is written down before more is asked.
        for begin in stride(from: 0, to: chats.count, by: settings.inFlight) {
            var asked: [(agent: String, chat: ChatCompletion, reserved: Amount)] = []
            for (agent, chat) in chats[begin ..< min(chats.count, begin + settings.inFlight)] {
                let most = try book.change { meter -> Amount? in
                    let most = try meter.most(bytes: chat.body.count, maxTokens: settings.maxTokens, attempts: settings.attempts)
                    return try meter.reserve(most) ? most : nil
                }
                guard let most else {
                    log.warning("\(agent): not asked, the day's spending cap is reached (\(try book.meter().spent) of \(settings.maxSpend))")
                    continue
                }
                asked.append((agent, chat, most))
            }
            let answers = ask(asked.map(\.chat))
            // All of them are paid for: one that cannot be taken takes no other away.
            var failure: (any Error)?
            for (item, answer) in zip(asked, answers) {
                do {
                    try take(answer, item.agent, item.chat, item.reserved, tell)
                } catch {
                    failure = failure ?? error
                }
            }
            if let failure { throw failure }
        }
    }

    private struct Reply: Sendable {
        var answer: Result<ChatCompletion.Answer, any Error>
        /// Attempts that may have cost something, though they gave no answer.
        var lost: Int
    }

    private func ask(_ chats: [ChatCompletion]) -> [Reply] {
        let (http, peer) = (http, peer)
        let results = peer.map(chats) { chat -> Reply in
            var lost = 0
            let answer = Result {
                try peer.call("decision by \(chat.model)") { attempt in
                    do {
                        return try chat.send(http, attempt)
                    } catch let error as CallError {
                        if error.kind == .unavailable { lost += 1 }
                        throw error
                    } catch {
                        lost += 1
                        throw error
                    }
                }
            }
            return Reply(answer: answer, lost: lost)
        }
        return results.map { result in
            switch result {
            case .success(let reply): reply
            // It was not begun.
            case .failure(let error): Reply(answer: .failure(error), lost: 0)
            }
        }
    }

    private func take(
        _ reply: Reply, _ agent: String, _ chat: ChatCompletion, _ reserved: Amount, _ tell: (String, AgentDecision) throws -> Void
    ) throws {
        let answer = try? reply.answer.get()
        try book.change { meter in
            let one = try meter.most(bytes: chat.body.count, maxTokens: settings.maxTokens, attempts: 1)
            var cost = try one.times(Amount(Int32(clamping: reply.lost)), .up)
            if let answer {
                // Who does not say what it has used, or says what cannot be, has used all.
                guard let input = answer.tokensIn, let output = answer.tokensOut, input > 0, output >= 0 else { return }
                cost = try cost + meter.cost(tokensIn: input, tokensOut: output)
            }
            try meter.settle(reserved, cost: cost)
        }
        do {
            let answer = try reply.answer.get()
            try tell(agent, ModelTalk.decision(answer.content, by: chat.model))
        } catch let error as CallError {
            log.warning("\(agent): \(error.text); it does not trade in this window")
        }
    }
}

/// Where a mind says what went wrong.
struct RunLogging {
    var warning: (String) -> Void
}
