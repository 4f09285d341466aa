/// Version of this release, of both binaries: they ship together.
public let releaseVersion = "0.1.0"
