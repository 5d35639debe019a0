package vfs

// fallbackMemory is taken where the system does not say how much it has.
const fallbackMemory = 8 << 30
