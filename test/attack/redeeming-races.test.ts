import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { addressOf, answerOf, connectFrom, isGood, ticketFor } from '../fixtures/attacker.js'
import { captureLog } from '../fixtures/log.js'
import type { RawSocket } from '../fixtures/raw-socket.js'
import { handshakeBytes, untilStats } from '../fixtures/upgrade.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const MANY = 1000
const many = { max: 10_000, timeWindow: 60_000 }
const { logger, lines } = captureLog('warn')
let opened = 0
const wide = {
  issuePerIp: many,
  issuePerUser: many,
  upgradePerIp: many,
  maxConnections: 10_000,
  maxConnectionsPerIp: 10_000,
  maxConnectionsPerUser: 1000,
  maxPendingHandshakes: 10_000,
  // a machine that is busy may take its time for a thousand
  ticketTtl: '1 minute',
  handshakeTimeout: '1 minute',
  pingInterval: '1 hour'
}
const declare = (app: Scene['app']) => app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: () => void opened++ })

attack(
  'C1 of 1000 upgrades at once with one ticket exactly one is opened, and 999 get 401',
  { server: { logger }, plugin: wide, declare },
  async (t, scene) => {
    const { app, port } = scene
    const ticket = await ticketFor(t, app, '/echo')
    const sockets: RawSocket[] = []
    // fewer at a time than a listening socket keeps waiting
    while (sockets.length < MANY) {
      const batch = Array.from({ length: 100 }, (_, i) => connectFrom(t, port, addressOf(sockets.length + i)))
      sockets.push(...(await Promise.all(batch)))
    }
    opened = 0
    const answers = sockets.map(answerOf)
    for (const raw of sockets) raw.write(handshakeBytes('/echo', ticket))
    const all = await Promise.all(answers)
    t.equal(all.filter(({ status }) => status === 101).length, 1, 'one 101')
    t.equal(all.filter(({ status, code }) => status === 401 && code === 'FST_WS_TICKET_INVALID_TICKET').length, MANY - 1, '999 times 401')
    t.equal(opened, 1, 'one connection')
    t.equal(lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED').length, MANY - 1, 'every replay is noticed')
    const winner = all.find(({ status }) => status === 101)?.raw
    t.equal(winner?.socket.destroyed, false, 'and it stays open')
  }
)

const LEAVING = {
  FIN: ({ socket }: RawSocket) => void socket.end(),
  RST: ({ socket }: RawSocket) => void socket.resetAndDestroy(),
  'FIN and RST': ({ socket }: RawSocket) => void socket.end(() => socket.resetAndDestroy())
}

interface LeaveOptions {
  readonly store: WatchedStore
  readonly step: 'find' | 'redeem'
}

/** Ten at a time leave while the store is at work; nobody is opened, and all that they held is given back. */
async function leave(t: Test, { app, port }: Scene, { store, step }: LeaveOptions): Promise<string[]> {
  const left: string[] = []
  const before = app.wsTicket.stats()
  const quiet = { connections: before.connections, users: before.counted.users, ips: before.counted.ips }
  for (const [name, go] of Object.entries(LEAVING)) {
    opened = 0
    const tickets = await Promise.all(Array.from({ length: 10 }, () => ticketFor(t, app, '/echo')))
    const { redeem } = store.asked
    store.hold(step)
    const sockets = await Promise.all(tickets.map(() => connectFrom(t, port)))
    for (const [i, raw] of sockets.entries()) raw.write(handshakeBytes('/echo', tickets[i]))
    await store.whenHeld(10)
    const users = quiet.users + (step === 'redeem' ? 1 : 0)
    await untilStats(app, { ...quiet, pendingHandshakes: 10, users, ips: quiet.ips + 1 })
    for (const raw of sockets) go(raw)
    await untilStats(app, quiet)
    t.pass(`${name}: slots are released before the store has answered`)
    store.recover()
    for (const raw of sockets) t.equal(await raw.ended, '', `${name}: nothing was answered`)
    t.equal(opened, 0, `${name}: nobody was opened`)
    t.equal(store.asked.redeem - redeem, step === 'redeem' ? 10 : 0)
    await untilStats(app, quiet)
    left.push(...tickets)
  }
  return left
}

const slow = new WatchedStore()

attack(
  'C14 a client gone while its ticket is looked up burns nothing',
  { plugin: { ...wide, store: slow, maxTicketsPerUser: 1000 }, declare },
  async (t, scene) => {
    const left = await leave(t, scene, { store: slow, step: 'find' })
    for (const ticket of left) t.ok(await isGood(t, scene.port, '/echo', ticket), 'its ticket is good')
  }
)

const slower = new WatchedStore()

attack(
  'C14 a client gone while its ticket is being used gets no connection',
  { plugin: { ...wide, store: slower, maxTicketsPerUser: 1000 }, declare },
  async (t, scene) => {
    await leave(t, scene, { store: slower, step: 'redeem' })
    t.ok(await isGood(t, scene.port, '/echo', await ticketFor(t, scene.app, '/echo')), 'the user may come back')
  }
)
