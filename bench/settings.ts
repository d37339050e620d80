/** What servers and clients of a measurement have to agree on. */
export const ORIGIN = 'https://bench.example'
export const SECRET = 'a secret for measuring only, of more than 32 bytes'

const MANY = { max: 1_000_000, timeWindow: 60_000 }

/** Limits that no measurement meets; they are counted all the same. */
export const WIDE = {
  issuePerIp: MANY,
  issuePerUser: MANY,
  upgradePerIp: MANY,
  maxConnections: 100_000,
  maxConnectionsPerIp: 100_000,
  maxConnectionsPerUser: 100_000,
  maxPendingHandshakes: 10_000,
  rateLimit: { max: 1_000_000, timeWindow: 1000 }
}

/** The text in each message of an echo: the whole message is JSON of 150 bytes. */
export const ECHO_TEXT = 'x'.repeat(150 - JSON.stringify({ type: 'echo', id: 7, payload: { text: '' } }).length)

/** The text in each event of a fan-out: the event of a bare server is JSON of 200 bytes. */
export const NEWS_TEXT = 'x'.repeat(200 - JSON.stringify({ type: 'news', topic: 'all', payload: { text: '' } }).length)
