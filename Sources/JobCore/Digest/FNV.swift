extension Sequence<UInt8> {
    /// FNV-1a of 64 bits: tells texts apart that nobody chose to be alike, and is the same in every life of the
    /// host. `from`: goes on from an earlier part.
    // Inlinable: over answers of a megabyte, bytes that come through a witness table cost more than all else.
    @inlinable
    public func fnv1a(from hash: UInt64 = 0xCBF2_9CE4_8422_2325) -> UInt64 {
        var hash = hash
        for byte in self { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
