const SERIALIZED_ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\*]+$/

/**
 * Is this text an origin in the form in which browsers send it (RFC 6454, section 6.2)?
 * `'null'` is one: that of sandboxed pages and files.
 */
export function isSerializedOrigin(text: string): boolean {
  if (text === 'null') return true
  if (!SERIALIZED_ORIGIN.test(text)) return false
  if (!URL.canParse(text)) return false
  const { origin } = new URL(text)
  const isOpaque = origin === 'null'
  return isOpaque ? text === text.toLowerCase() : origin === text
}
