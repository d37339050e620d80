import { echoContract, echoHandlers } from '../fixtures/app.js'
import { type AttackOptions, attack } from '../fixtures/attack.js'
import { manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, openRaw } from '../fixtures/frames.js'
import { postTicket } from '../fixtures/post-ticket.js'
import { statusOf } from '../fixtures/raw-socket.js'

const few = { max: 3, timeWindow: '1 minute' }

/** A router that takes any spelling of a path. */
const lax = (plugin: AttackOptions['plugin']): AttackOptions => ({
  server: { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true } },
  plugin: { ...manyRequests, ...plugin },
  declare: (app) => {
    const rateLimit = { max: 3, timeWindow: '1 hour', per: 'user' } as const
    app.wsRoute('/echo', {
      ...manyMessages,
      contract: echoContract,
      handlers: { ...echoHandlers, echo: { handler: echoHandlers.echo, rateLimit } }
    })
  }
})

const spellings = ['/echo', '/ECHO', '/%65cho', '/Ech%6F', '//echo', '/%45CHO', '/echo?a=b', '/eCHO;a']
const ticketSpellings = spellings.slice(0, 6).flatMap((path) => [`${path}/ticket`, `${path}/TICKET/`, `${path}/%74icket?x=${path}`])

for (const [who, plugin] of Object.entries({ user: { issuePerUser: few }, address: { issuePerIp: few } })) {
  attack(`H5 however its address is spelled, the ticket route has one bucket for a ${who}`, lax(plugin), async (t, { app }) => {
    const statuses: number[] = []
    for (const path of ticketSpellings) statuses.push((await postTicket(app, { path })).status)
    t.same(statuses, [201, 201, 201, ...ticketSpellings.slice(3).map(() => 429)])
  })
}

for (const [what, plugin] of Object.entries({
  'bucket for upgrades': { upgradePerIp: few },
  "count of a user's connections": { maxConnectionsPerUser: 3 },
  "count of an address's connections": { maxConnectionsPerIp: 3 }
})) {
  attack(`H5 however its address is spelled, a route has one ${what}`, lax(plugin), async (t, { app }) => {
    const tickets: string[] = []
    for (const _path of spellings.slice(0, 7)) tickets.push((await postTicket(app)).ticket)
    const statuses: number[] = []
    for (const path of spellings.slice(0, 7)) {
      const raw = await beginRaw(t, app, { path, ticket: tickets.pop() ?? '' })
      statuses.push(statusOf(await raw.answer))
    }
    t.same(statuses, [101, 101, 101, 429, 429, 429, 429])
  })
}

attack('H5 however its address is spelled, a route has one bucket for messages', lax({}), async (t, { app }) => {
  const types: string[] = []
  for (const path of spellings.slice(0, 7)) {
    const raw = await openRaw(t, app, { path, ticket: (await postTicket(app, { path: '/ECHO/%74icket' })).ticket })
    types.push((await raw.request('echo', { text: 'x' })).type)
  }
  t.same(types, ['$reply', '$reply', '$reply', '$error', '$error', '$error', '$error'])
})

attack(
  'H5 where the router is strict, other spellings are no route at all, or the same one',
  { plugin: { ...manyRequests, issuePerUser: few } },
  async (t, { app }) => {
    const statuses: number[] = []
    for (const path of [
      '/echo/ticket',
      '/%65cho/ticket',
      '/ECHO/ticket',
      '/echo/ticket/',
      '//echo/ticket',
      '/echo/%74icket',
      '/%65cho/%74icket'
    ]) {
      statuses.push((await postTicket(app, { path })).status)
    }
    t.same(statuses, [201, 201, 404, 404, 404, 201, 429])
  }
)
