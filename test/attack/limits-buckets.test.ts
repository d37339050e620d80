import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { openRaw } from '../fixtures/frames.js'
import { postTicket } from '../fixtures/post-ticket.js'

const limited = { type: '$error', payload: { code: 'FST_WS_TICKET_RATE_LIMITED', statusCode: 429 } }

/** Three messages an hour of each user or address, so that none comes back while the attack is tried. */
function declareLimited(per: 'user' | 'ip') {
  const rateLimit = { max: 3, timeWindow: '1 hour', per } as const
  return (app: FastifyInstance): void => {
    app.wsRoute('/echo', {
      ...manyMessages,
      contract: echoContract,
      handlers: { ...echoHandlers, echo: { handler: echoHandlers.echo, rateLimit } }
    })
  }
}

attack(
  "H1 reconnecting with new tickets, from other addresses too, does not refill the user's bucket",
  { plugin: manyRequests, declare: declareLimited('user') },
  async (t, { app }) => {
    for (const id of [1, 2, 3]) {
      const raw = await openRaw(t, app, { localAddress: `127.0.0.${10 + id}` })
      t.match(await raw.request('echo', { text: 'x' }, id), { type: '$reply', id })
      raw.raw.socket.destroy()
    }
    for (let i = 0; i < 20; i++) {
      const raw = await openRaw(t, app, { localAddress: `127.0.0.${20 + i}` })
      t.match(await raw.request('echo', { text: 'x' }), limited)
      raw.raw.socket.destroy()
    }
    const [one, two] = [await openRaw(t, app), await openRaw(t, app)]
    t.match(
      [await one.request('echo', { text: 'x' }), await two.request('echo', { text: 'x' })],
      [limited, limited],
      'nor do two at a time'
    )
    const other = await openRaw(t, app, { request: { claims: { sub: 'bob' } } })
    t.match(await other.request('echo', { text: 'x' }), { type: '$reply' }, 'another user has a bucket of its own')
  }
)

attack(
  'H1 tickets are limited by user, whatever the address and whether they are used',
  { plugin: { ...manyRequests, issuePerUser: { max: 3, timeWindow: '1 minute' } } },
  async (t, { app }) => {
    for (const i of [1, 2, 3]) {
      const { ticket } = await postTicket(app, { localAddress: `127.0.0.${10 + i}` })
      const raw = await openRaw(t, app, { ticket, localAddress: `127.0.0.${10 + i}` })
      raw.raw.socket.destroy()
    }
    const refused = await postTicket(app, { localAddress: '127.0.0.20' })
    t.match(refused, { status: 429, code: 'FST_WS_TICKET_TOO_MANY_REQUESTS' })
    t.ok(refused.retryAfter > 0 && refused.retryAfter <= 60, 'Retry-After')
    t.equal((await postTicket(app, { sub: 'bob' })).status, 201)
  }
)

attack(
  'H2 many users at one address share the bucket of the address',
  { plugin: manyRequests, declare: declareLimited('ip') },
  async (t, { app }) => {
    const localAddress = '127.0.0.9'
    const enter = (sub: string) => openRaw(t, app, { localAddress, request: { claims: { sub } } })
    for (const id of [1, 2, 3]) t.match(await (await enter(`user ${id}`)).request('echo', { text: 'x' }, id), { type: '$reply', id })
    for (let i = 4; i < 20; i++) t.match(await (await enter(`user ${i}`)).request('echo', { text: 'x' }), limited)
    const elsewhere = await openRaw(t, app, { localAddress: '127.0.0.10', request: { claims: { sub: 'user 4' } } })
    t.match(await elsewhere.request('echo', { text: 'x' }), { type: '$reply' }, 'one of them comes from elsewhere')
  }
)

attack(
  'H2 many users at one address share what the address may ask for',
  { plugin: { ...manyRequests, issuePerIp: { max: 3, timeWindow: '1 minute' } } },
  async (t, { app }) => {
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) statuses.push((await postTicket(app, { localAddress: '127.0.0.9', sub: `user ${i}` })).status)
    t.same(statuses, [201, 201, 201, 429, 429, 429])
    t.equal((await postTicket(app, { localAddress: '127.0.0.10', sub: 'user 5' })).status, 201)
  }
)
