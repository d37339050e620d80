/** What servers and clients of a measurement have to agree on. */
export const ORIGIN = 'https://bench.example'
export const SECRET = 'a secret for measuring only, of more than 32 bytes'

const MANY = { max: 1_000_000, timeWindow: 60_000 }

/** Limits that no measurement meets; they are counted all the same. */
export const WIDE = {
  issuePerIp: MANY,
  issuePerUser: MANY,
  upgradePerIp: MANY,
  maxConnectionsPerIp: 100_000,
  maxConnectionsPerUser: 100_000,
  maxPendingHandshakes: 10_000,
  rateLimit: { max: 1_000_000, timeWindow: 1000 }
}
