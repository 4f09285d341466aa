/// A fault that is put into the simulated host or its surroundings on purpose, to see that the simulation finds it: the
/// promise each of them breaks is an invariant of SimulatedWorld+Invariants.swift or SimulatedStore.swift.
enum PlantedFault: String, CaseIterable {
    /// A due time that was not executed gets no entry, though the cursor moves past it.
    case forgottenRange
    /// A fire is entered a millisecond beside its due time.
    case shiftedFire
    /// What was started is started once more.
    case runTwice
    /// The end of an attempt never reaches the store.
    case forgottenEnd
    /// A failed attempt is told to the breaker as a success.
    case deafBreaker
    /// After the host's death what had begun is taken for what had not.
    case forgetfulRescue
    /// What waits is given out by the store, and its answer is lost without anybody looking for it.
    case forgottenClaim
    /// A library on trial that was judged bad serves on.
    case deafTrial
}
