import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { needs } from '../fixtures/parts.js'
import { outsideTap } from '../fixtures/processes.js'
import { askTicket, connect, enter, logIn, open, post, protocolsOf, startChat } from './start-chat.js'

const chat = await startChat(t)

t.test('what is sent to a room reaches its members, the sender included, and nobody else', async (t) => {
  const [ann, bob, eve] = await Promise.all([enter(t, chat, 'ann'), enter(t, chat, 'bob'), enter(t, chat, 'eve')])
  t.strictSame((await ann.request('room.join', { room: 'tea' })).payload, { members: ['ann'] })
  t.strictSame((await bob.request('room.join', { room: 'tea' })).payload, { members: ['ann', 'bob'] })
  await eve.request('room.join', { room: 'coffee' })

  const before = Date.now()
  const event = await ann.request('chat.send', { room: 'tea', text: 'Is there <milk>?' }, 7)
  const reply = await ann.next()

  t.match(reply, { type: '$reply', id: 7, payload: { id: /^[0-9a-f-]{36}$/ } })
  t.match(event, { type: 'chat.message', topic: 'room:tea', payload: { room: 'tea', from: 'ann', text: 'Is there <milk>?' } })
  t.match(event.payload, reply.payload, 'the reply tells the id of the event')
  const at = Date.parse(String(Object(event.payload).at))
  t.ok(at >= before && at <= Date.now(), 'with the time')
  t.strictSame(await bob.next(), event)
  t.strictSame((await eve.request('room.leave', { room: 'coffee' }, 3)).id, 3, 'and no event comes before it')
})

t.test('a message over REST reaches the members of the room', async (t) => {
  const ann = await enter(t, chat, 'ann of REST')
  await ann.request('room.join', { room: 'news' })
  const token = await logIn(chat, 'robot')
  const { status, body } = await post(chat, '/rooms/news/messages', { token, body: { text: 'Released.' } })
  t.equal(status, 202)
  t.match(await ann.next(), { type: 'chat.message', payload: { room: 'news', from: 'robot', text: 'Released.', id: body.id } })
})

t.test('a user is a member as long as one of her connections is', async (t) => {
  const token = await logIn(chat, 'two-handed')
  const [first, second] = await Promise.all([connect(t, chat, token), connect(t, chat, token)])
  const bob = await enter(t, chat, 'witness')
  for (const { client } of [first, second]) await client.request('room.join', { room: 'desk' })
  await bob.request('room.join', { room: 'desk' })

  await first.client.request('room.leave', { room: 'desk' })
  t.strictSame((await bob.request('room.join', { room: 'desk' })).payload, { members: ['two-handed', 'witness'] })

  second.client.socket.close()
  await second.client.closed
  let left = await bob.request('room.join', { room: 'desk' })
  // the server may learn of the end a moment later than the client
  while (Object(left.payload).members.length > 1) left = await bob.request('room.join', { room: 'desk' })
  t.strictSame(left.payload, { members: ['witness'] })
})

t.test('the ticket route refuses what is not authenticated, not of its own page, or not JSON', async (t) => {
  const token = await logIn(chat, 'refused')
  const own = { origin: chat.origin }
  const cases = [
    { title: 'A1 no token', request: { body: {}, headers: own }, status: 401, code: 'FST_WS_TICKET_UNAUTHENTICATED' },
    { title: 'A1 garbage', request: { token: 'x', body: {}, headers: own }, status: 401, code: 'FST_WS_TICKET_UNAUTHENTICATED' },
    {
      title: 'A4 a foreign origin',
      request: { token, body: {}, headers: { origin: 'https://evil.example' } },
      status: 403,
      code: 'FST_WS_TICKET_ORIGIN_REFUSED'
    },
    { title: 'D1 no origin', request: { token, body: {} }, status: 403, code: 'FST_WS_TICKET_ORIGIN_MISSING' },
    {
      title: 'A3 a form',
      request: { token, headers: { ...own, 'content-type': 'application/x-www-form-urlencoded' } },
      status: 415,
      code: 'FST_WS_TICKET_UNSUPPORTED_MEDIA_TYPE'
    }
  ]
  for (const { title, request, status, code } of cases) {
    const answer = await post(chat, '/chat/ticket', request)
    t.match(answer, { status, body: { code, ticket: undefined } }, title)
    t.equal(answer.headers.get('access-control-allow-origin'), null)
  }
})

t.test('A9 a user has at most ten unused tickets', async (t) => {
  const token = await logIn(chat, 'collector')
  const answers = await Promise.all(Array.from({ length: 11 }, () => askTicket(chat, token)))
  t.strictSame(answers.map(({ status }) => status).sort(), [...Array.from({ length: 10 }, () => 201), 429])
  const refusal = answers.find(({ status }) => status === 429)
  t.equal(refusal?.body.code, 'FST_WS_TICKET_TOO_MANY_TICKETS')
  t.ok(Number(refusal?.headers.get('retry-after')) > 0)
})

t.test('a session ends with its token, unless it is refreshed with a ticket of a new one', async (t) => {
  const token = await logIn(chat, 'short', 3)
  const [kept, lost] = await Promise.all([connect(t, chat, token), connect(t, chat, token)])
  t.match(await kept.client.next(), { type: '$expiring' })

  const { connection, expiresAt } = Object(kept.welcome)
  const { body } = await askTicket(chat, await logIn(chat, 'short'), { refresh: connection })
  const reply = await kept.client.request('$refresh', { ticket: body.ticket }, 5)
  t.match(reply, { type: '$reply', id: 5 })
  t.ok(Object(reply.payload).expiresAt > expiresAt)

  t.strictSame(await lost.client.closed, { code: 4401, reason: 'session expired' })
  t.equal((await askTicket(chat, token)).status, 401, 'the first token is no good any more')
  t.strictSame((await kept.client.request('room.join', { room: 'late' })).payload, { members: ['short'] })
})

t.test('logging out closes all connections of the user and voids her tickets', async (t) => {
  const token = await logIn(chat, 'leaver')
  const [first, second] = await Promise.all([connect(t, chat, token), connect(t, chat, token)])
  const other = await enter(t, chat, 'stayer')
  const unused = protocolsOf(await askTicket(chat, token))

  const { status, body } = await post(chat, '/logout', { token })
  t.equal(status, 204)
  t.strictSame(body, {})
  for (const { client } of [first, second]) t.match(await client.closed, { code: 4403 })
  const [, response] = await once(open(t, chat, unused).socket, 'unexpected-response')
  t.equal(response.statusCode, 401)
  t.match(await other.request('room.join', { room: 'home' }), { type: '$reply' })
})

t.test('the eleventh message within ten seconds is told when to come again', async (t) => {
  const ann = await enter(t, chat, 'talker')
  await ann.request('room.join', { room: 'talk' })
  for (let id = 1; id <= 11; id++) ann.send({ type: 'chat.send', id, payload: { room: 'talk', text: `Message ${id}` } })
  const frames = []
  for (let count = 0; count < 21; count++) frames.push(await ann.next())
  t.equal(frames.filter(({ type }) => type === 'chat.message').length, 10)
  const errors = frames.filter(({ type }) => type === '$error')
  t.match(errors, [{ id: 11, payload: { code: 'FST_WS_TICKET_RATE_LIMITED', statusCode: 429, retryAfter: Number } }])
  t.equal(errors.length, 1)
})

t.test('a message that can not be handled is answered with what is wrong', async (t) => {
  const ann = await enter(t, chat, 'clumsy')
  await ann.request('room.join', { room: 'here' })
  const cases = [
    { type: 'chat.send', payload: { room: 'here', text: 'x'.repeat(501) }, code: 'FST_WS_TICKET_INVALID_PAYLOAD', statusCode: 400 },
    { type: 'chat.send', payload: { room: 'here', text: ' \n ' }, code: 'FST_WS_TICKET_INVALID_PAYLOAD', statusCode: 400 },
    { type: 'chat.send', payload: { room: 'here', text: 'Hi', from: 'bob' }, code: 'FST_WS_TICKET_INVALID_PAYLOAD', statusCode: 400 },
    { type: 'room.join', payload: { room: 'no such/room' }, code: 'FST_WS_TICKET_INVALID_PAYLOAD', statusCode: 400 },
    { type: 'room.burn', payload: {}, code: 'FST_WS_TICKET_UNKNOWN_TYPE', statusCode: 404 }
  ]
  for (const [id, { type, payload, code, statusCode }] of cases.entries()) {
    t.match(await ann.request(type, payload, id), { type: '$error', id, payload: { code, statusCode } })
  }
  t.equal(ann.unread, 0, 'nothing was published')
})

t.test('a connection is in twenty rooms at most', async (t) => {
  const ann = await enter(t, chat, 'everywhere')
  for (let count = 1; count <= 20; count++) t.match(await ann.request('room.join', { room: `room-${count}` }), { type: '$reply' })
  t.match(await ann.request('room.join', { room: 'room-21' }), {
    type: '$error',
    payload: { code: 'CHAT_TOO_MANY_ROOMS', statusCode: 403 }
  })
  t.match(await ann.request('room.join', { room: 'room-1' }), { type: '$reply' }, 'one of them can be joined again')
  await ann.request('room.leave', { room: 'room-1' })
  t.match(await ann.request('room.join', { room: 'room-21' }), { type: '$reply' })
})

t.test('REST routes refuse what does not match their schemas, and who is not logged in', async (t) => {
  const token = await logIn(chat, 'rest')
  const invalid = { status: 400, code: 'FST_ERR_VALIDATION' }
  const unauthenticated = { status: 401, code: 'CHAT_UNAUTHENTICATED' }
  const cases = [
    { path: '/login', request: {}, ...invalid },
    { path: '/login', request: { body: {} }, ...invalid },
    { path: '/login', request: { body: { name: '' } }, ...invalid },
    { path: '/login', request: { body: { name: 'x'.repeat(33) } }, ...invalid },
    { path: '/login', request: { body: { name: ' ann' } }, ...invalid },
    { path: '/login', request: { body: { name: 'ann\u202e' } }, ...invalid },
    { path: '/login', request: { body: { name: 5 } }, ...invalid },
    { path: '/login', request: { body: { name: 'ann', admin: true } }, ...invalid },
    { path: '/login', request: { body: { name: 'ann', expiresIn: 0 } }, ...invalid },
    { path: '/login', request: { body: { name: 'ann', expiresIn: 86_401 } }, ...invalid },
    { path: '/login', request: { body: { name: 'ann', expiresIn: '60' } }, ...invalid },
    { path: '/rooms/tea/messages', request: { body: { text: 'Hi' } }, ...unauthenticated },
    { path: '/rooms/tea/messages', request: { token: `${token}x`, body: { text: 'Hi' } }, ...unauthenticated },
    { path: '/rooms/tea/messages', request: { token, body: { text: '' } }, ...invalid },
    { path: '/rooms/te%20a/messages', request: { token, body: { text: 'Hi' } }, ...invalid },
    { path: '/logout?all=1', request: { token }, ...invalid },
    { path: '/logout', request: {}, ...unauthenticated }
  ]
  for (const { path, request, status, code } of cases) {
    t.match(await post(chat, path, request), { status, body: { code } }, `${path} ${JSON.stringify(request.body)}`)
  }
  t.equal((await post(chat, '/logout')).headers.get('www-authenticate'), 'Bearer')
  t.match(await post(chat, '/login', { body: { name: 'Zoë M. 2' } }), { status: 200, body: { token: String } })
})

t.test('a token is good for fifteen minutes by default', async (t) => {
  const { body } = await post(chat, '/login', { body: { name: 'default' } })
  const claims = JSON.parse(Buffer.from(String(body.token).split('.')[1] ?? '', 'base64url').toString())
  t.match(claims, { sub: 'default' })
  t.equal(claims.exp - claims.iat, 900)
})

t.test('the page and its parts are served under a strict policy', async (t) => {
  const parts = [
    ['/', 'text/html'],
    ['/style.css', 'text/css'],
    ['/page.js', 'text/javascript; charset=utf-8'],
    ['/icon.svg', 'image/svg+xml'],
    ['/nothing', 'application/json']
  ] as const
  const socketOrigins = [chat.origin, chat.origin.replace('127.0.0.1', 'localhost')].map((origin) => origin.replace('http', 'ws'))
  for (const [path, type] of parts) {
    const response = await fetch(chat.origin + path)
    t.equal(response.status, path === '/nothing' ? 404 : 200, path)
    t.match(response.headers.get('content-type'), type)
    const policy = (response.headers.get('content-security-policy') ?? '').split(';')
    t.ok(policy.includes("default-src 'self'"))
    t.ok(policy.includes(`connect-src 'self' ${socketOrigins.join(' ')}`))
    t.notMatch(policy.join(), 'unsafe')
  }
  const html = await (await fetch(chat.origin)).text()
  t.notMatch(html, /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)/i, 'nothing inline')
})

t.test('nothing but the page is served', async (t) => {
  for (const path of [
    '/main.ts',
    '/main.js',
    '/tsconfig.json',
    '/page/',
    '/..%2fconfig.ts',
    '/%2e%2e/app.ts',
    '/README.md',
    '/rooms/tea/messages',
    '/login',
    '/%00'
  ]) {
    const { status } = await fetch(chat.origin + path)
    t.equal(status, 404, path)
  }
})

t.test('the OpenAPI document shows every route with its schemas', async (t) => {
  const document = JSON.parse(await (await fetch(`${chat.origin}/openapi.json`)).text())
  t.strictSame(Object.keys(document.paths).sort(), [
    '/asyncapi.json',
    '/chat/ticket',
    '/login',
    '/logout',
    '/openapi.json',
    '/rooms/{room}/messages'
  ])
  const login = document.paths['/login'].post
  t.match(login.description, 'Demo only')
  t.strictSame(login.requestBody.content['application/json'].schema.required, ['name'])
  const ticket = document.paths['/chat/ticket'].post
  t.strictSame(ticket.security, [{ bearer: [] }])
  t.ok(ticket.responses['201'].content['application/json'].schema.properties.protocols)
  const message = document.paths['/rooms/{room}/messages'].post
  t.match(message.parameters, [{ name: 'room', in: 'path', required: true }])
  t.equal(message.requestBody.content['application/json'].schema.properties.text.maxLength, 500)
})

t.test('the script of the README does what it says', async (t) => {
  const readme = readFileSync(new URL('../../examples/chat/README.md', import.meta.url), 'utf8')
  const [, script = ''] = /```js\n(.*?)```/s.exec(readme) ?? []
  const dir = t.testdir({ 'hello.mjs': script })
  const flags = 'WebSocket' in globalThis ? [] : ['--experimental-websocket', '--no-warnings']
  const { stdout } = await promisify(execFile)(...outsideTap(process.execPath, [...flags, `${dir}/hello.mjs`, chat.origin]), {
    timeout: 120_000
  })
  t.match(stdout, /^\$welcome.+\$reply { members: \[ 'ann' \] }.+text: 'Hello'.+\$reply/s)
})

t.test('the commands of the README get a ticket and send a message', async (t) => {
  if (!needs(t, 'curl')) return
  const readme = readFileSync(new URL('../../examples/chat/README.md', import.meta.url), 'utf8')
  const [, commands = ''] = /```sh\n(url=.*?)```/s.exec(readme) ?? []
  const script = commands.replace(/^url=.*/, `url=${chat.origin}`).replaceAll('\ncurl ', '\necho; curl ')
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { timeout: 60_000 })
  const [ticket, message] = stdout.match(/^\{.*\}$/gm) ?? []
  t.match(JSON.parse(ticket ?? ''), { expiresIn: 30, protocols: [String, String] })
  t.type(JSON.parse(message ?? '').id, 'string')
})
