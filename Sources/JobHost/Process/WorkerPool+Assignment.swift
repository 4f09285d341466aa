import JobCore

// Which run goes to which worker: what is due to free ones, short runs behind others, and ahead of their instant what
// nothing but time keeps from starting.

extension WorkerPool {
    private struct Batch {
        var worker: WorkerID
        var runs: [Request]
        /// What the runs behind the first are expected to take, and weigh.
        var time = Duration.zero
        var bytes = 0
    }

    /// Gives queued runs to free workers, one each, and with it those of its job that take less than another worker
    /// needs to wake up; then, when no more workers can come, pipelines short runs behind them, each worker's batch in
    /// one write.
    mutating func assign(_ now: MonotonicInstant, mayGrow: Bool, _ actions: inout [PoolAction]) {
        var batches: [Batch] = []
        // The one used last first, so that surplus workers idle out.
        let free = freeWorkers.sorted { ($0.freeSince, $0.id) > ($1.freeSince, $1.id) }
        for worker in free {
            guard let request = takeNext() else { break }
            hand(request, to: worker.id)
            batches.append(Batch(worker: worker.id, runs: [request]))
            gather(&batches[batches.count - 1])
        }
        if !mayGrow, startingCount == 0 {
            if !queue.isEmpty { useReserved(now, &batches, &actions) }
            pipeline(&batches)
        }
        for batch in batches { actions.append(.send(batch.worker, batch.runs.map(\.run))) }
        if freeWorkers.count + startingCount >= warmTarget || countedWorkers >= spec.maxWorkers { warmTarget = 0 }
    }

    /// Waking a worker for each run that does next to nothing costs many times what the run does. Those of one job alone:
    /// if one of them lasts after all, it is its own job that waits, for `stallLimit` at the most.
    private mutating func gather(_ batch: inout Batch) {
        let job = batch.runs[0].job
        guard let time = recent[job]?.briefTime else { return }
        while batch.time + time <= Self.gatherTime, batch.runs.count < Self.longestBatch, let next = queue.first, next.job == job,
            batch.bytes + next.bytes <= Self.batchBytes, let request = queue.takeOldest()
        {
            put(request, into: &batch, time)
        }
    }

    private mutating func put(_ request: Request, into batch: inout Batch, _ time: Duration) {
        hand(request, to: batch.worker)
        batch.runs.append(request)
        batch.time += time
        batch.bytes += request.bytes
    }

    /// A reserved worker loses nothing by a short run; what it has for later does not wait behind another one.
    private mutating func useReserved(_ now: MonotonicInstant, _ batches: inout [Batch], _ actions: inout [PoolAction]) {
        let reserved = workers.values.filter { $0.isReserved(now) }
            .sorted { ($0.load.earliest, $0.id) > ($1.load.earliest, $1.id) }
        for worker in reserved {
            guard let request = takeNext() else { return }
            if !isShort(request.job) || !worker.load.isShort { takeBackReserved(worker.id, &actions) }
            hand(request, to: worker.id)
            batches.append(Batch(worker: worker.id, runs: [request]))
        }
    }

    private mutating func takeBackReserved(_ id: WorkerID, _ actions: inout [PoolAction]) {
        let behind = workers[id]?.runs.all.map(\.run).filter { workers[id]?.recalled.contains($0) == false } ?? []
        workers[id]?.recalled.formUnion(behind)
        actions += behind.map { .recall(id, $0) }
    }

    /// Gives runs to workers before their instant: one to each that is free, whatever it takes; when no more workers can
    /// come, short ones behind short ones, evenly, as many as a worker can begin at nearly one instant. What finds no
    /// place goes back at once.
    mutating func sendAhead(
        _ requests: [Request], mayGrow: Bool, _ now: MonotonicInstant, _ actions: inout [PoolAction]
    ) {
        var batches: [WorkerID: [RunID]] = [:]
        var free = isClosing ? [] : freeWorkers.sorted { ($0.freeSince, $0.id) < ($1.freeSince, $1.id) }.map(\.id)
        var shared: [WorkerID]?
        var turn = 0
        for request in requests {
            let short = recent[request.job]?.shortTime
            var place = free.popLast()
            if place == nil, let short, !isClosing, !mayGrow, startingCount == 0 {
                var places = shared ?? workers.values.filter { $0.isReserved(now) && $0.load.isShort }
                    .sorted { ($0.load.time, $0.id) < ($1.load.time, $1.id) }.map(\.id)
                while place == nil, !places.isEmpty {
                    if turn >= places.count { turn = 0 }
                    if let worker = workers[places[turn]], worker.runs.count < Self.longestBatch,
                        worker.load.time + short <= Self.batchTime, worker.load.bytes + request.bytes <= Self.batchBytes
                    {
                        place = worker.id
                        turn += 1
                    } else {
                        places.remove(at: turn)
                    }
                }
                shared = places
            }
            guard let place else {
                actions.append(.giveBack(request.run))
                continue
            }
            queue.assign(job: request.job)
            hand(request, to: place)
            batches[place, default: []].append(request.run)
        }
        for (id, runs) in batches.sorted(by: { $0.key < $1.key }) { actions.append(.send(id, runs)) }
    }

    private mutating func pipeline(_ batches: inout [Batch]) {
        var isFilling = batches.map { isShort($0.runs[0].job) }
        while isFilling.contains(true) {
            for index in batches.indices where isFilling[index] {
                // Behind a worker that is busy anyway age alone decides: no job keeps another from
                // a worker here, and a burst of thousands costs no search for each run.
                guard batches[index].runs.count < Self.longestBatch, let first = queue.first,
                    let time = recent[first.job]?.shortTime, batches[index].time + time <= Self.batchTime,
                    batches[index].bytes + first.bytes <= Self.batchBytes,
                    let request = queue.takeOldest()
                else {
                    isFilling[index] = false
                    continue
                }
                put(request, into: &batches[index], time)
            }
        }
    }

    private func isShort(_ job: String) -> Bool { recent[job]?.shortTime != nil }

    private mutating func hand(_ request: Request, to id: WorkerID) {
        let short = recent[request.job]?.shortTime
        guard var load = workers[id]?.load else { return }
        load.time = load.time + (short ?? .zero)
        load.bytes += request.bytes
        load.earliest = min(load.earliest, request.notBefore ?? MonotonicInstant(microseconds: 0))
        load.isShort = load.isShort && short != nil
        workers[id]?.load = load
        workers[id]?.runs.append(request)
    }

    /// First come, first served. But a job may not hold the pool's last worker while a sibling
    /// is due: that one goes by turns.
    private mutating func takeNext() -> Request? {
        let unassigned = spec.maxWorkers - workers.values.count { !$0.isOld && !$0.isStuck && !$0.runs.isEmpty }
        return unassigned > 1 ? queue.takeOldest() : queue.takeTurn()
    }
}
