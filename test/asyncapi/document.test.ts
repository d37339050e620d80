import { readFileSync } from 'node:fs'
import t from 'tap'
import Type from 'typebox'
import { SchemaWriter } from '../../src/asyncapi/schema.js'
import { defineContract } from '../../src/index.js'
import { compileSchema } from '../../src/message/schema.js'
import { buildApp, buildEchoApp } from '../fixtures/app.js'
import { faultsOf, frameChecker, lookUp } from '../fixtures/asyncapi.js'
import { A, B, describe, routes, tree } from '../fixtures/described-contracts.js'

const leaf = { name: 'leaf', children: [] }

t.test('the document of every kind of contract is valid, plain JSON, and the same however the routes were declared', async (t) => {
  const document = await describe(t, routes)
  t.equal(Object.keys(document.channels).length, Object.keys(routes).length)
  t.same(faultsOf(document), [])
  t.strictSame(JSON.parse(JSON.stringify(document)), document)
  t.notMatch(JSON.stringify(document), /"~|"\$id"/)
  t.equal(JSON.stringify(await describe(t, Object.fromEntries(Object.entries(routes).reverse()))), JSON.stringify(document))
})

t.test('a route is a channel with its address, binding, limits and ticket route', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/teams/:team/chat', {
    contract: defineContract({}),
    handlers: {},
    schema: {
      params: Type.Object({ team: Type.Enum(['red', 'blue'], { description: 'Whose chat', default: 'red', examples: ['blue'] }) }),
      querystring: Type.Object({ since: Type.Optional(Type.Integer()), tree: Type.Optional(tree) }),
      headers: Type.Object({ 'x-client': Type.Optional(Type.String()) }),
      tags: ['chat', 'chat', 'team']
    },
    rateLimit: { max: 5, timeWindow: '1 second' },
    idleTimeout: '1 minute',
    maxConnectionsPerUser: 3
  })
  const document = app.wsTicket.asyncapi({ openapi: 'https://api.example.com/openapi.json' })
  t.same(faultsOf(document), [])
  const channel = document.channels['teams.team.chat']
  const openapi = 'https://api.example.com/openapi.json#/paths/~1teams~1%7Bteam%7D~1chat~1ticket/post'
  t.match(channel, {
    address: '/teams/{team}/chat',
    parameters: {
      team: { description: 'Whose chat', enum: ['red', 'blue'], default: 'red', examples: ['blue'], 'x-schema': { enum: ['red', 'blue'] } }
    },
    tags: [{ name: 'chat' }, { name: 'team' }],
    externalDocs: { url: openapi },
    bindings: {
      ws: {
        method: 'GET',
        query: { type: 'object', properties: { since: { type: 'integer' }, ticket: undefined } },
        headers: { type: 'object', properties: { 'x-client': { type: 'string' }, 'Sec-WebSocket-Protocol': {}, Origin: {} } },
        bindingVersion: '0.1.0'
      }
    },
    'x-ticket': { method: 'POST', path: '/teams/{team}/chat/ticket', security: [{ $ref: '#/components/securitySchemes/bearer' }], openapi },
    'x-limits': {
      rateLimit: { max: 5, timeWindow: 1000, burst: 5, per: 'connection' },
      maxPayload: 65_536,
      idleTimeout: 60_000,
      maxConnectionsPerUser: 3
    }
  })
  t.strictSame(channel?.tags, [{ name: 'chat' }, { name: 'team' }])
})

t.test('addresses are told as clients have them', async (t) => {
  const app = await buildApp(t)
  const route = { contract: defineContract({}), handlers: {} }
  app.wsRoute('/', route)
  app.wsRoute('/at/:hour(^\\d{1,2}(?:am|pm\\))?$)h:minute/:name.:kind', route)
  app.wsRoute('/colon::here/', route)
  await app.register(
    async (inner) => {
      inner.wsRoute('/', route)
      inner.wsRoute('/:id', route)
    },
    { prefix: '/inner' }
  )
  const document = app.wsTicket.asyncapi({ openapi: '/openapi.json' })
  t.same(faultsOf(document), [])
  t.same(
    Object.values(document.channels).map(({ address, 'x-ticket': ticket }) => [address, ticket.path]),
    [
      ['/', '/ticket'],
      ['/at/{hour}h{minute}/{name}.{kind}', '/at/{hour}h{minute}/{name}.{kind}/ticket'],
      ['/colon:here/', '/colon:here/ticket'],
      ['/inner', '/inner/ticket'],
      ['/inner/{id}', '/inner/{id}/ticket']
    ]
  )
  t.same(Object.keys(document.channels['inner.id']?.parameters ?? {}), ['id'])
  t.equal(document.channels.root?.externalDocs, undefined, 'only an absolute address is a link')
  t.equal(document.channels.root?.['x-ticket'].openapi, '/openapi.json#/paths/~1ticket/post')
})

t.test('routes that constraints tell apart are channels of their own, and hidden ones are none', async (t) => {
  const app = await buildApp(t)
  const route = { contract: defineContract({}), handlers: {} }
  app.wsRoute('/chat', { ...route, constraints: { host: 'b.example.com' } })
  app.wsRoute('/chat', { ...route, constraints: { host: 'a.example.com' } })
  app.wsRoute('/secret', { ...route, schema: { hide: true } })
  const document = app.wsTicket.asyncapi()
  t.same(faultsOf(document), [])
  t.match(document.channels, {
    chat: { address: '/chat', 'x-constraints': { host: 'a.example.com' } },
    chat_2: { address: '/chat', 'x-constraints': { host: 'b.example.com' } }
  })
  t.same(Object.keys(document.channels), ['chat', 'chat_2'])
})

t.test('a message is received and replied to, an event is sent, and so are the frames of the protocol', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/chat', {
    contract: defineContract({
      messages: {
        ask: {
          payload: Type.Object({ text: Type.String() }, { title: 'A question', description: 'Asks something' }),
          reply: Type.Object({ text: Type.String() }, { description: 'The answer' })
        }
      },
      events: { news: Type.Object({}, { description: 'Something new' }) }
    }),
    handlers: { ask: { rateLimit: { max: 10, timeWindow: '10 seconds', per: 'user' }, handler: ({ text }) => ({ text }) } }
  })
  const document = app.wsTicket.asyncapi({
    title: 'Chat',
    version: '2.0.0',
    servers: { main: { host: 'chat.example.com', protocol: 'wss' } }
  })
  t.same(faultsOf(document), [])
  t.match(document, { asyncapi: '3.0.0', info: { title: 'Chat', version: '2.0.0' }, defaultContentType: 'application/json' })
  const security = [{ $ref: '#/components/securitySchemes/ticket' }]
  t.strictSame(document.servers, { main: { host: 'chat.example.com', protocol: 'wss', security } })
  const channel = { $ref: '#/channels/chat' }
  const ref = (key: string) => ({ $ref: `#/channels/chat/messages/${key}` })
  t.strictSame(document.operations['chat.receive.ask'], {
    action: 'receive',
    title: 'ask',
    channel,
    messages: [ref('message.ask')],
    reply: { channel, messages: [ref('reply.ask'), ref('control.error')] },
    'x-rate-limit': { max: 10, timeWindow: 10_000, burst: 10, per: 'user' },
    security
  })
  t.strictSame(document.operations['chat.send.news'], { action: 'send', title: 'news', channel, messages: [ref('event.news')], security })
  t.match(document.operations['chat.receive.control.ping'], { title: '$ping' })
  t.same(Object.keys(document.operations), [
    'chat.receive.ask',
    'chat.send.news',
    'chat.receive.control.refresh',
    'chat.receive.control.ping',
    'chat.send.control.welcome',
    'chat.send.control.expiring',
    'chat.send.control.error'
  ])
  t.match(document.channels.chat?.messages, {
    'message.ask': { name: 'ask', title: 'A question', summary: 'Asks something', correlationId: { location: '$message.payload#/id' } },
    'reply.ask': { name: '$reply', title: 'Reply to ask', summary: 'The answer' },
    'event.news': { name: 'news', summary: 'Something new' },
    'control.welcome': { $ref: '#/components/messages/welcome' }
  })
  const names = Object.values(document.components.messages).map(({ name }) => name)
  t.same([...new Set(names)].sort(), ['$error', '$expiring', '$ping', '$refresh', '$reply', '$welcome'])
})

t.test('the schemes say where the ticket goes, as the options have it', async (t) => {
  const contract = { '/chat': defineContract({}) }
  const both = await describe(t, contract, { ticketTransport: ['subprotocol', 'query'] })
  t.same(faultsOf(both), [])
  t.match(both.components.securitySchemes, {
    ticket: { type: 'httpApiKey', in: 'header', name: 'Sec-WebSocket-Protocol' },
    ticketInQuery: { type: 'httpApiKey', in: 'query', name: 'ticket' },
    bearer: { type: 'http', scheme: 'bearer' }
  })
  t.same(both.operations['chat.send.control.welcome']?.security, [
    { $ref: '#/components/securitySchemes/ticket' },
    { $ref: '#/components/securitySchemes/ticketInQuery' }
  ])
  t.match(both.channels.chat?.bindings.ws.query, { type: 'object', properties: { ticket: { type: 'string' } } })
  const query = await describe(t, contract, { ticketTransport: ['query'], authenticate: () => ({ sub: 'ann' }) })
  t.same(faultsOf(query), [])
  t.same(Object.keys(query.components.securitySchemes), ['ticketInQuery'], 'what an app does itself is not known')
  t.same(query.channels.chat?.['x-ticket'].security, [])
})

t.test('what the document says of a frame is what the server takes', async (t) => {
  const cases = {
    ask: { payload: A, values: [{ a: 'x' }, { a: 1 }, {}, { a: 'x', z: 1 }] },
    union: { payload: Type.Union([A, B]), values: [{ a: 'x' }, { b: 1 }, { a: 'x', b: 1 }, {}] },
    both: { payload: Type.Intersect([A, B]), values: [{ a: 'x', b: 1 }, { a: 'x' }, { a: 'x', b: 1, z: 1 }] },
    tuple: {
      payload: Type.Intersect([A, Type.Object({ pair: Type.Tuple([Type.String(), Type.Number()]) })]),
      values: [
        { a: 'x', pair: ['x', 1] },
        { a: 'x', pair: ['x', 'x'] },
        { a: 'x', pair: ['x', 1, 1] }
      ]
    },
    tree: { payload: tree, values: [leaf, { ...leaf, children: [leaf] }, { ...leaf, children: [{}] }, { ...leaf, z: 1 }] },
    trees: {
      payload: Type.Object({ one: tree, two: Type.Array(tree) }),
      values: [
        { one: leaf, two: [leaf] },
        { one: leaf, two: [{}] },
        { one: { ...leaf, z: 1 }, two: [] }
      ]
    },
    self: {
      payload: Type.Object({ text: Type.String(), inner: Type.Optional(Type.This()) }),
      values: [{ text: 'x' }, { text: 'x', inner: { text: 'y' } }, { text: 'x', inner: { text: 1 } }]
    },
    annotated: {
      payload: Type.Object({ one: Type.Unsafe({ $ref: '#/properties/two', description: 'Like two' }), two: Type.Integer() }),
      values: [
        { one: 1, two: 2 },
        { one: 'x', two: 2 }
      ]
    },
    anchored: {
      payload: Type.Unsafe({ type: 'object', properties: { n: { $ref: '#num' } }, $defs: { num: { $anchor: 'num', type: 'integer' } } }),
      values: [{ n: 1 }, { n: 'x' }]
    },
    'not in JSON': {
      payload: Type.Object({ big: Type.Optional(Type.BigInt()), tag: Type.Union([Type.Literal('a'), Type.Null()]) }),
      values: [{ tag: 'a' }, { tag: null }, { tag: 'b' }, { big: 1, tag: 'a' }]
    }
  }
  const messages = Object.fromEntries(Object.entries(cases).map(([type, { payload }]) => [type, { payload }]))
  const document = await describe(t, { '/chat': defineContract({ messages }) })
  t.same(faultsOf(document), [])
  for (const [type, { payload, values }] of Object.entries(cases)) {
    const key = `#/channels/chat/messages/message.${type.replaceAll(' ', '_')}`
    const fits = frameChecker(document, key)
    const validator = compileSchema(payload)
    for (const value of values) {
      t.equal(fits({ type, id: 1, payload: value }), validator.check(value), `${type} ${JSON.stringify(value)}`)
    }
    t.equal(fits({ type }), validator.check({}), `${type} without payload`)
    for (const frame of [{ type: 'other' }, { type, id: -1 }, { type, id: 0.5 }, { type, more: 1 }]) {
      t.notOk(fits({ payload: values[0], ...frame }), JSON.stringify(frame))
    }
  }
  t.match(lookUp(document, '#/channels/chat/messages/message.both/payload'), {
    schemaFormat: 'application/schema+json;version=draft-2020-12'
  })
  t.match(lookUp(document, '#/channels/chat/messages/message.tree/payload'), { type: 'object', definitions: { Node: {} } })
})

t.test('the frames of the protocol are what the document says', async (t) => {
  const app = await buildEchoApp(t)
  const document = app.wsTicket.asyncapi()
  const frames = {
    welcome: { type: '$welcome', payload: { connection: 'id', expiresAt: 1 } },
    expiring: { type: '$expiring', payload: { expiresAt: 1 } },
    error: { type: '$error', payload: { code: 'X', statusCode: 400, message: 'm', retryAfter: 1, errors: [{ path: '', message: '' }] } },
    refresh: { type: '$refresh', id: 1, payload: { ticket: 't' } },
    'refresh.reply': { type: '$reply', id: 1, payload: { expiresAt: 1 } },
    ping: { type: '$ping', id: 1 },
    'ping.reply': { type: '$reply', id: 1, payload: null }
  }
  t.same(Object.keys(frames), Object.keys(document.components.messages))
  for (const [key, frame] of Object.entries(frames)) {
    const fits = frameChecker(document, `#/components/messages/${key}`)
    t.ok(fits(frame), key)
    t.notOk(fits({ ...frame, type: '$other' }))
    t.notOk(fits({ ...frame, payload: 'x' }))
  }
  const reply = frameChecker(document, '#/channels/echo/messages/reply.echo')
  t.ok(reply({ type: '$reply', id: 1, payload: { text: 'x' } }))
  t.notOk(reply({ type: '$reply', payload: { text: 'x' } }))
  t.ok(frameChecker(document, '#/channels/echo/messages/reply.note')({ type: '$reply', id: 1, payload: null }))
  const news = frameChecker(document, '#/channels/echo/messages/event.news')
  t.ok(news({ type: 'news', topic: 'all', payload: { text: 'x' } }))
  t.notOk(news({ type: 'news', topic: 1, payload: { text: 'x' } }))
})

t.test('a schema is written as plain JSON, with references that lead somewhere', async (t) => {
  const shape = { pattern: /^a/, default: Number.NaN, examples: [undefined, 1, [2, 3], { n: 1n }], maximum: 10n, not: () => {} }
  const writer = new SchemaWriter('#/here')
  t.strictSame(writer.write(shape), { pattern: '^a', examples: [1, [2, 3], {}] })
  t.strictSame(writer.write({ $ref: '#' }), { $ref: '#/here/root' })
  const beside = {
    properties: { a: { $ref: '#/$defs/b', title: 'A' }, c: { $ref: 'nothing', title: 'C' } },
    $defs: { b: { type: 'null' } }
  }
  t.strictSame(writer.write(beside), { properties: { a: { allOf: [{ $ref: '#/here/b' }, { title: 'A' }] }, c: { title: 'C' } } })
  const dangling = { anyOf: [{ $ref: 'other' }, { $ref: '#/not/there' }, { $ref: '#anchor' }, { $ref: 'other#/a' }, true] }
  t.strictSame(writer.write(dangling), { anyOf: [{}, {}, {}, {}, true] }, 'what leads nowhere says nothing')
  const twice = {
    $id: 'One',
    properties: { a: { $ref: 'Two#/properties/a~1b' }, b: { $ref: '#/$defs/Two' } },
    $defs: { Two: { $id: 'Two', properties: { 'a/b': { type: 'null' } } } }
  }
  t.strictSame(writer.write(twice), { properties: { a: { $ref: '#/here/a_1b' }, b: { $ref: '#/here/Two' } } })
  t.strictSame(writer.definitions, {
    root: { $ref: '#/here/root' },
    b: { type: 'null' },
    a_1b: { type: 'null' },
    Two: { properties: { 'a/b': { type: 'null' } } }
  })
})

t.test('what is said of the app is checked', async (t) => {
  const app = await buildEchoApp(t)
  const refusals = [
    [{ title: 1 }, /asyncapi: 'title' is 1; allowed: a text/],
    [{ name: 'x' }, /asyncapi: 'name' is not known; allowed: title, version, description, servers, openapi/],
    [{ servers: { main: { host: 'x', protocol: 'http' } } }, /'servers.*http.*allowed: .*host, protocol/],
    [{ servers: { 'a b': { host: 'x', protocol: 'ws' } } }, /servers/]
  ] as const
  for (const [info, message] of refusals) {
    t.throws(() => Reflect.apply(app.wsTicket.asyncapi, app.wsTicket, [info]), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  }
})

t.test('every error of frames stands in the document', async (t) => {
  const app = await buildEchoApp(t)
  const { error } = app.wsTicket.asyncapi().components.messages
  const source = readFileSync(new URL('../../src/errors.ts', import.meta.url), 'utf8')
  const [, section = ''] = /\/\/ frames\n(.*?)\n\n/s.exec(source) ?? []
  const names = [...section.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => `FST_WS_TICKET_${name}`)
  t.ok(names.length >= 8)
  const told = error?.['x-errors']?.map(({ code }) => code) ?? []
  t.same(told.toSorted(), [...names, 'FST_WS_TICKET_INVALID_TICKET', 'FST_WS_TICKET_UNAVAILABLE'].sort())
  t.match(error?.['x-errors']?.[0], { statusCode: 400, message: 'The frame is not acceptable JSON: ….' })
})
