import { hash } from 'node:crypto'

/** The names of keys and channels: all under one prefix, and what comes from users only as a hash. */
export class RedisKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = `${prefix}:`
  }

  /** The parts must hold nothing that a user has chosen. */
  of(...parts: readonly string[]): string {
    return this.#prefix + parts.join(':')
  }

  /** A pattern for SCAN of all keys that begin with these parts. */
  matching(...parts: readonly string[]): string {
    return `${this.of(...parts).replaceAll(/[\\*?[\]^]/g, '\\$&')}:*`
  }
}

/** What stands for a text in a key: 43 base64url characters of its SHA-256. */
export function hashText(...texts: readonly string[]): string {
  return hash('sha256', JSON.stringify(texts), 'base64url')
}
