import t from 'tap'
import { systemClock } from '../../src/client/clock.js'
import { parseOptions } from '../../src/client/options.js'

class Socket {
  onmessage = null
  onclose = null
  onerror = null
  send(): void {}
  close(): void {}
}

t.test('the defaults are those that are documented, also for options that are undefined', async (t) => {
  const { WebSocket } = globalThis
  Reflect.set(globalThis, 'WebSocket', Socket)
  t.teardown(() => Reflect.set(globalThis, 'WebSocket', WebSocket))
  const absent: object = { WebSocket: undefined, timeout: undefined }
  const settings = parseOptions(Object.assign({ url: 'https://a.example/chat', token: () => null }, absent))
  t.match(settings, {
    socketUrl: 'wss://a.example/chat',
    ticketUrl: 'https://a.example/chat/ticket',
    WebSocket: Socket,
    origin: {},
    connectTimeout: 10_000,
    timeout: 30_000,
    queueLimit: 32,
    backoff: { min: 1000, max: 30_000 },
    heartbeat: 30_000,
    heartbeatTimeout: 10_000,
    clock: systemClock,
    random: Math.random
  })
})

/** The message with which options are refused. */
function refusalOf(options: object): string {
  try {
    const settings = parseOptions(Object.assign({ url: 'https://a.example/chat', token: () => null, WebSocket: Socket }, options))
    return `taken: ${settings.socketUrl}`
  } catch (error) {
    return String(error)
  }
}

t.test('an option that is not what it must be is refused by its name', async (t) => {
  const url = 'TypeError: `url` must be an http or ws address, or a path on a page.'
  for (const wrong of [undefined, null, '', '/chat', 'localhost:3000/chat', 'ftp://a.example', 'file:///chat', 'wss://', {}]) {
    t.equal(refusalOf({ url: wrong }), url, String(wrong))
  }
  for (const name of ['token', 'onOpen', 'onError', 'fetch', 'random']) {
    t.equal(refusalOf({ [name]: 'x' }), `TypeError: \`${name}\` must be a function.`)
  }
  t.equal(refusalOf({ token: undefined }), 'TypeError: `token` must be a function.')
  t.equal(refusalOf({ WebSocket: { default: Socket } }), 'TypeError: `WebSocket` must be a class, as in ws.')
  for (const name of ['connectTimeout', 'timeout', 'queueLimit', 'heartbeat', 'heartbeatTimeout']) {
    for (const wrong of [-1, Number.NaN, '10', true]) {
      t.equal(refusalOf({ [name]: wrong }), `TypeError: \`${name}\` must be a number >= 0.`, String(wrong))
    }
  }
  t.equal(refusalOf({ backoff: { min: '1s' } }), 'TypeError: `min` must be a number >= 0.')
  t.equal(refusalOf({ tokens: 'x' }), 'TypeError: `tokens` is no option.')
  t.equal(refusalOf({ backoff: { mim: 1 } }), 'TypeError: `mim` is no option.')
})

t.test('a name that every object has is no option either', async (t) => {
  for (const name of ['toString', 'constructor', 'valueOf', 'hasOwnProperty', '__defineGetter__']) {
    t.equal(refusalOf({ [name]: () => {} }), `TypeError: \`${name}\` is no option.`)
    t.equal(refusalOf({ backoff: { [name]: 1 } }), `TypeError: \`${name}\` is no option.`)
  }
  const given = JSON.parse('{ "url": "https://a.example/chat", "__proto__": { "timeout": 1 } }')
  t.throws(() => parseOptions(given), { name: 'TypeError', message: '`__proto__` is no option.' })
})

t.test('what a refusal says of an option is its name and not its value, which may be a secret', async (t) => {
  t.notMatch(refusalOf({ token: 'eyJhbGciOiJIUzI1NiJ9.e30.x' }), /eyJ/)
})

t.test('null is the default, and no bound on a time is Infinity', async (t) => {
  t.equal(
    refusalOf({ timeout: null, backoff: { max: null }, heartbeat: Number.POSITIVE_INFINITY, queueLimit: 0 }),
    'taken: wss://a.example/chat'
  )
})

t.test('what a listener throws is by default thrown where nobody catches it', async (t) => {
  const { queueMicrotask } = globalThis
  const tasks: (() => void)[] = []
  globalThis.queueMicrotask = (task) => void tasks.push(task)
  t.teardown(() => {
    globalThis.queueMicrotask = queueMicrotask
  })
  parseOptions({ url: 'https://a.example/chat', token: () => null, WebSocket: Socket }).onError('a fault')
  globalThis.queueMicrotask = queueMicrotask
  t.equal(tasks.length, 1)
  t.throws(() => tasks[0]?.(), 'a fault')
})

t.test('the clock of the machine runs a task once, and not when it was prevented', async (t) => {
  const before = systemClock.now()
  systemClock.after(0, () => t.fail('it was prevented'))()
  const forLong = systemClock.after(Number.POSITIVE_INFINITY, () => t.fail('it is not due'))
  await new Promise<void>((resolve) => systemClock.after(1, resolve))
  t.ok(systemClock.now() > before)
  forLong()
})
