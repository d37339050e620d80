/** What the header of a frame is made of (RFC 6455, section 5.2). */
export const FIN = 0x80
export const FIN_AND_TEXT = 0x81
export const OPCODE = 0x0f
export const FIRST_CONTROL_OPCODE = 0x8
export const CLOSE = 0x8
export const MASKED = 0x80
export const LENGTH = 0x7f
export const MAX_SHORT_LENGTH = 125
export const LENGTH_OF_16_BITS = 126
export const MAX_16_BITS = 65_535
export const LENGTH_OF_64_BITS = 127
export const MASK_BYTES = 4
