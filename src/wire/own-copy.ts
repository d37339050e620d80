/** A copy that keeps nothing else in memory: neither what it is a part of, nor the pool that small Buffers share. */
export function ownCopy(part: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(part.length)
  part.copy(copy)
  return copy
}
