import { inspect } from 'node:util'
import t from 'tap'
import WebSocket from 'ws'
import type { WsTicketError } from '../../src/client/index.js'
import { ORIGIN } from '../fixtures/app.js'
import { becomes, ClientWorld } from '../fixtures/client-world.js'
import { until } from '../fixtures/until.js'

const NO_TICKET = 'There was no ticket: is the server there, does `token` answer, does CORS pass, does a hook refuse it?'

t.test('no user: it stops and asks for nothing', async (t) => {
  for (const nobody of [null, undefined, '']) {
    const world = await ClientWorld.start(t)
    const client = world.client({ token: () => nobody })
    await becomes(client, 'closed')
    t.match(world.reasons, [{ code: 'NO_USER', message: '`token` answered no user.', isFinal: true }])
    t.same(world.ticketBodies, [])
  }
})

t.test('a token that is refused is asked for once more', async (t) => {
  const world = await ClientWorld.start(t)
  const asked: boolean[] = []
  const client = await world.openClient({
    token: ({ refused }) => {
      asked.push(refused)
      return refused ? world.app.jwt.sign({ sub: 'ann' }) : 'stale'
    }
  })
  t.same(asked, [false, true])
  t.equal(client.status, 'open')
})

t.test('a user whose second token is refused too is not asked again', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ token: async () => 'stale' })
  await becomes(client, 'closed')
  t.match(world.reasons, [{ code: 'FST_WS_TICKET_UNAUTHENTICATED', statusCode: 401, isFinal: true }])
  t.same(world.ticketBodies, ['{}', '{}'])
})

t.test('a refusal of the origin is final', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ origin: 'https://evil.example.com' })
  await becomes(client, 'closed')
  t.match(world.reasons, [{ code: 'FST_WS_TICKET_ORIGIN_REFUSED', statusCode: 403 }])
  t.same(world.ticketBodies, ['{}'])
})

for (const status of [408, 409, 425, 429, 500, 502, 503]) {
  t.test(`after ${status} it asks again`, async (t) => {
    const world = await ClientWorld.start(t)
    const client = world.client({ fetch: async () => new Response('<h1>Bad Gateway</h1>', { status, headers: { 'retry-after': '7' } }) })
    await becomes(client, 'waiting')
    t.match(world.reasons, [{ code: 'TICKET_FAILED', statusCode: status, retryAfter: 7000, isFinal: false }])
    t.same(world.clock.delays, [7500])
  })
}

t.test('Retry-After may be a date, and what is neither, or over, is passed over', async (t) => {
  const world = await ClientWorld.start(t)
  const waits = async (header: string) => {
    const client = world.client({ fetch: async () => new Response(null, { status: 503, headers: { 'retry-after': header } }) })
    await becomes(client, 'waiting')
    client.close()
    return world.reasons.filter((reason) => reason !== undefined).at(-1)?.retryAfter ?? 0
  }
  const inAnHour = await waits(new Date(Date.now() + 3_600_000).toUTCString())
  t.ok(inAnHour > 3_500_000 && inAnHour <= 3_600_000)
  t.equal(await waits(new Date(0).toUTCString()), 0)
  t.equal(await waits('soon'), 0)
  for (const endless of ['1e12', 'Infinity']) t.equal(await waits(endless), 86_400_000, 'a day at most')
})

t.test('a refusal whose code and message are no texts is one that says nothing', async (t) => {
  const world = await ClientWorld.start(t)
  const body = '{"code":{"toString":1},"message":{"toString":1},"statusCode":200,"isFinal":true,"retryAfter":1}'
  const client = world.client({ fetch: async () => new Response(body, { status: 503 }) })
  await becomes(client, 'waiting')
  t.match(world.reasons, [{ code: 'TICKET_FAILED', message: 'Refused with 503.', statusCode: 503, isFinal: false, retryAfter: undefined }])
})

t.test('an answer that is no ticket is a failure that may pass', async (t) => {
  const world = await ClientWorld.start(t)
  for (const body of ['<h1>Log in to the Wi-Fi</h1>', '{}', 'null', '{"data":{"ticket":"t"}}']) {
    const client = world.client({ fetch: async () => new Response(body) })
    await becomes(client, 'waiting')
    client.close()
  }
  const fault = { code: 'TICKET_FAILED', message: NO_TICKET, isFinal: false }
  const [page, ...others] = world.reasons.filter((reason) => reason !== undefined)
  t.match(page, { ...fault, cause: SyntaxError })
  t.match(
    others,
    others.map(() => ({ ...fault, cause: { message: 'The answer is no ticket.' } }))
  )
  t.equal(others.length, 3)
})

t.test('a token that no header can carry is told without it, and asked for again later', async (t) => {
  const world = await ClientWorld.start(t)
  for (const token of ['two words', 'eyJ.line\n', 'é']) {
    const client = world.client({ token: () => token })
    await becomes(client, 'waiting')
    const reason = world.reasons.at(-1)
    t.match(reason, {
      code: 'TICKET_FAILED',
      message: '`token` must answer a JWT without `Bearer`, or null.',
      cause: undefined,
      isFinal: false
    })
    t.notMatch(inspect(reason, { depth: null }), /eyJ/)
    client.close()
  }
  t.same(world.ticketBodies, [])
})

t.test('a token that is no text is a fault of the program: it ends the client, and is not told', async (t) => {
  const world = await ClientWorld.start(t)
  for (const token of [Object({ token: 'eyJ' }), Object(['eyJ']), Object(7).valueOf(), Object(true).valueOf()]) {
    const client = world.client({ token: async () => token })
    await becomes(client, 'closed')
    const reason = world.reasons.at(-1)
    t.match(reason, {
      code: 'TICKET_FAILED',
      message: '`token` must answer a JWT without `Bearer`, or null.',
      cause: undefined,
      isFinal: true
    })
    t.notMatch(inspect(reason, { depth: null }), /eyJ/)
  }
  t.same(world.clock.delays, [])
  t.same(world.ticketBodies, [])
})

t.test('a server that is away, and a token that can not be had, are told with what was thrown', async (t) => {
  const world = await ClientWorld.start(t)
  const away = new TypeError('fetch failed')
  for (const options of [{ fetch: () => Promise.reject(away) }, { token: () => Promise.reject(away) }]) {
    const client = world.client(options)
    await becomes(client, 'waiting')
    t.match(world.reasons.at(-1), { code: 'TICKET_FAILED', isFinal: false })
    t.equal(world.reasons.at(-1)?.message, NO_TICKET, 'what was thrown may be a secret')
    t.equal(world.reasons.at(-1)?.cause, away)
    client.close()
  }
})

t.test('C9 neither ticket nor token is in what a client says of a failure, its causes included', async (t) => {
  const world = await ClientWorld.start(t)
  const secrets: string[] = []
  let issued = 0
  const token = () => {
    const jwt = world.app.jwt.sign({ sub: 'ann', nr: secrets.length })
    secrets.push(jwt, jwt.slice(jwt.lastIndexOf('.') + 1))
    return jwt
  }
  const watched: typeof globalThis.fetch = async (url, init) => {
    const response = await fetch(url, init)
    const { ticket } = Object(await response.clone().json())
    if (ticket) secrets.push(ticket)
    if (ticket) issued++
    return response
  }
  class Broken extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(`${url}/nothing`, protocols)
    }
  }
  const told: WsTicketError[] = []
  for (const options of [{}, { WebSocket: Broken }, { token: () => `${token()}x` }, { token: () => `${token()}\n` }]) {
    const client = world.client({ token, fetch: watched, ...options })
    client.onStatus((_status, reason) => reason && told.push(reason))
    await until(() => client.status !== 'connecting')
    const answers = [1, 30_000].map((timeout) =>
      client.send('note', { text: 'x'.repeat(101) }, { timeout }).catch((error) => told.push(error))
    )
    world.clock.advance(1)
    for (const connection of world.route.connections()) connection.close(4409, 'replayed')
    await until(() => client.status !== 'open')
    client.close()
    await Promise.all(answers)
  }
  t.ok(issued >= 2)
  const codes = new Set(told.map(({ code }) => code))
  const expected = ['CLIENT_CLOSED', 'DISCONNECTED', 'FST_WS_TICKET_UNAUTHENTICATED', 'TICKET_FAILED', 'TIMEOUT']
  t.same(
    expected.filter((code) => !codes.has(code)),
    []
  )
  const text = inspect(told, { depth: null, showHidden: true })
  for (const secret of secrets) t.notOk(text.includes(secret))
})

t.test('the address may be that of the WebSocket or of the page, or a path on it; the query stays', async (t) => {
  const world = await ClientWorld.start(t)
  Reflect.set(globalThis, 'location', new URL('https://app.example.com/rooms?x=1'))
  t.teardown(() => Reflect.deleteProperty(globalThis, 'location'))
  const asked: string[] = []
  const fetch = async (url: string) => {
    asked.push(url)
    return new Response(null, { status: 404 })
  }
  for (const url of [
    '/chat/?room=1#top',
    'ws://a.example/chat',
    'wss://a.example/chat',
    'http://a.example:81/chat',
    'https://a.example/chat'
  ]) {
    await becomes(world.client({ url, fetch }), 'closed')
  }
  t.same(asked, [
    'https://app.example.com/chat/ticket?room=1',
    'http://a.example/chat/ticket',
    'https://a.example/chat/ticket',
    'http://a.example:81/chat/ticket',
    'https://a.example/chat/ticket'
  ])
  Reflect.deleteProperty(globalThis, 'location')
  t.throws(() => world.client({ url: '/chat' }), { name: 'TypeError' })
})

t.test('the token stands in the header of the ticket request and nowhere else', async (t) => {
  const world = await ClientWorld.start(t)
  const token = world.app.jwt.sign({ sub: 'ann' })
  const requests: unknown[] = []
  await world.openClient({
    token: () => token,
    fetch: (url, init) => {
      requests.push({ url: new URL(url).pathname, method: init.method, headers: init.headers, body: init.body })
      return fetch(url, init)
    }
  })
  t.same(requests, [
    {
      url: '/client/ticket',
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', origin: ORIGIN },
      body: '{}'
    }
  ])
  t.notMatch(world.lastSocket.url, /ticket|ey/)
})

t.test('programs need not tell an origin, and fetch is the global one', async (t) => {
  const world = await ClientWorld.start(t, { plugin: { allowMissingOrigin: true } })
  const client = world.plainClient()
  await becomes(client, 'open')
  t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
  client.close()
  await until(() => world.route.connections().length === 0)
})
