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
