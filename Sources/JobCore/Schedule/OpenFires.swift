extension Schedule {
    /// The fires at or after `start` and before `end` while the calendar is open. nil: there are more than `most`, or the
    /// calendar closes more often than that. Closed times are jumped over: their fires are not visited.
    public func openFires(
        from start: Instant, to end: Instant, calendar: BusinessCalendar?, in zone: Zone, most: Int
    ) -> [Instant]? {
        var fires: [Instant] = []
        var closings = 0
        var after = start - .microseconds(1)
        while let fire = next(after: after), fire < end {
            after = fire
            if let calendar, !calendar.isOpen(at: fire, in: zone) {
                guard let opening = calendar.nextChange(after: fire, before: end, in: zone) else { break }
                after = opening - .microseconds(1)
                closings += 1
            } else {
                fires.append(fire)
            }
            guard fires.count <= most, closings <= most else { return nil }
        }
        return fires
    }
}
