const SLOTS = 16_384
const POLYNOMIAL = 0x1021

/** The slot of a key or channel (Redis Cluster specification): CRC-16/XMODEM of its hash tag, or of all of it. */
export function keySlot(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashedPart(key))) crc = addByte(crc, byte)
  return crc % SLOTS
}

/** What stands in the first pair of braces, where that is not empty. */
function hashedPart(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  return open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key
}

function addByte(crc: number, byte: number): number {
  let sum = crc ^ (byte << 8)
  for (let bit = 0; bit < 8; bit++) sum = sum & 0x8000 ? (sum << 1) ^ POLYNOMIAL : sum << 1
  return sum & 0xffff
}
