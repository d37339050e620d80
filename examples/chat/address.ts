import { once } from 'node:events'
import { createServer, isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import type { Config } from './config.js'

/** Hosts that stand for every address of the machine; no page has them for its own. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** The origins under which the app's own page can be opened; the first is the one to tell. */
export function ownOrigins({ host, port, tls }: Pick<Config, 'host' | 'port' | 'tls'>): string[] {
  const scheme = tls ? 'https' : 'http'
  const hosts = WILDCARDS.has(host) ? ['localhost', '127.0.0.1', hostname()] : [host, 'localhost']
  // the URL leaves out a default port, as browsers do
  const origins = hosts.map((name) => new URL(`${scheme}://${isIPv6(name) ? `[${name}]` : name}:${port}`).origin)
  return [...new Set(origins)]
}

/** Settles on a port where the configuration leaves it open: origins have to be known before the app is built. */
export async function choosePort(config: Config): Promise<Config> {
  return config.port === 0 ? { ...config, port: await findFreePort(config.host) } : config
}

async function findFreePort(host: string): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error(`there is no free port on ${host}`)
  return address.port
}
