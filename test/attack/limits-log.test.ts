import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { defineContract } from '../../src/index.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { Closings } from '../fixtures/closings.js'
import { manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { closeFrame, messageFrame, openRaw } from '../fixtures/frames.js'
import { postTicket } from '../fixtures/post-ticket.js'
import { refusedUpgrade } from '../fixtures/upgrade.js'

/** A log whose lines are kept as they are written, since what they look like is what it is about. */
function rawLog(level: string) {
  const lines: string[] = []
  return { logger: { level, stream: { write: (line: string) => void lines.push(line) } }, lines }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be there
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/
const LONGEST_LINE = 4000

/** Lines that a terminal would take for something else than text, that are more than one, or that are too long. */
function badLines(lines: readonly string[]): string[] {
  return lines.filter((line) => CONTROLS.test(line) || line.indexOf('\n') !== line.length - 1 || line.length > LONGEST_LINE)
}

const bad = ['not JSON', '{"type":"nope"}', '{"type":"echo","payload":{"text":1}}', '{"type":7}', '[]', '{"__proto__":1}']
const flood = Array.from({ length: 600 }, (_, i) => messageFrame(bad[i % bad.length] ?? ''))

for (const level of ['info', 'debug']) {
  const log = rawLog(level)
  attack(
    `H10 bad messages make lines in the log, at level ${level}, but not one each`,
    {
      server: { logger: log.logger },
      plugin: manyRequests,
      declare: (app) => app.wsRoute('/echo', { ...manyMessages, contract: echoContract, handlers: echoHandlers })
    },
    async (t, { app }) => {
      const raw = await openRaw(t, app)
      const before = log.lines.length
      raw.write(...flood)
      await raw.flushed()
      const told = log.lines.slice(before).filter((line) => line.includes('"connection"'))
      t.ok(told.length > 0, 'it is told that there are bad messages')
      t.ok(told.length <= 20, `${told.length} lines for ${flood.length} messages`)
      t.same(badLines(told), [])
    }
  )
}

const limitedLog = rawLog('debug')
attack(
  'H10 messages over a limit do not make a line each',
  { server: { logger: limitedLog.logger }, plugin: manyRequests },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    const before = limitedLog.lines.length
    raw.write(...Array.from({ length: 600 }, () => messageFrame('{"type":"note","payload":{"text":"x"}}')))
    t.match(await raw.closed, { code: 4429 })
    const lines = limitedLog.lines.slice(before).filter((line) => line.includes('"connection"'))
    t.ok(lines.length <= 20, `${lines.length} lines`)
  }
)

const throwing = defineContract({ messages: { picky: { payload: Type.Refine(Type.Object({}), () => raise()) } } })

function raise(): never {
  throw new Error('a check that was not written for strangers')
}

const checkLog = rawLog('info')
attack(
  "H10 messages that a schema's own check throws at do not make a line each",
  {
    server: { logger: checkLog.logger },
    plugin: manyRequests,
    declare: (app) => app.wsRoute('/echo', { ...manyMessages, contract: throwing, handlers: { picky: () => {} } })
  },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    const before = checkLog.lines.length
    raw.write(...Array.from({ length: 600 }, () => messageFrame('{"type":"picky"}')))
    await raw.flushed()
    const lines = checkLog.lines.slice(before).filter((line) => line.includes('"connection"'))
    t.ok(lines.length > 0 && lines.length <= 20, `${lines.length} lines for 600 messages`)
  }
)

/** Bytes that do harm in a terminal or a log: the eight-bit form of ESC [ is one that a header may have. */
const EVIL = '\x9b31mred\x9b0m\x85\x9d0;title\x9c'
const LONG = 'x'.repeat(8000)

const headerLog = rawLog('trace')
attack(
  'H10 CRLF, ANSI and great length in Origin and subprotocol: escaped and cut in the log',
  { server: { logger: headerLog.logger }, plugin: manyRequests },
  async (t, { app, port }) => {
    const { ticket } = await postTicket(app)
    const before = headerLog.lines.length
    const values = [`https://evil.example.com${EVIL}`, `https://${LONG}.example.com`, '\\r\\n\\u001b[31m', '%0d%0a%1b[31m']
    for (const value of values) {
      const foreign = await refusedUpgrade(t, port, '/echo', ticket, { Origin: value })
      t.equal(foreign.status, 403)
      t.notOk(foreign.text.includes(value.slice(0, 9)), 'the answer does not tell the Origin')
      const protocols = await refusedUpgrade(t, port, '/echo', ticket, {
        'Sec-WebSocket-Protocol': `${value.replaceAll(',', '')}, ticket.${ticket}`
      })
      t.equal(protocols.status, 400)
      const withOurs = await refusedUpgrade(t, port, '/echo', ticket, { 'Sec-WebSocket-Protocol': `fastify-ws-ticket.v1, ticket.${value}` })
      t.match(withOurs.status, 401)
      t.match(await postTicket(app, { headers: { origin: value } }), { status: 403 })
    }
    for (const raw of ['a\r\nX-Injected: 1', 'a\u001b[31mred', 'a\rb', 'a\nb', 'a\0b', 'a\u007fb']) {
      const { status } = await refusedUpgrade(t, port, '/echo', ticket, { Origin: raw })
      t.ok(status === 400 || status === 403, `${JSON.stringify(raw)} is refused with ${status}`)
    }
    // the bytes of a request that is no HTTP are logged by Node and Fastify at trace level, as numbers
    const lines = headerLog.lines.slice(before).filter((line) => !line.includes('"level":10'))
    t.ok(lines.length > 0)
    t.same(badLines(lines), [])
    const origins = lines.flatMap((line) => JSON.parse(line).err?.origin ?? [])
    const asked = [
      String.raw`https://evil.example.com\u00c2\u009b31mred\u00c2\u009b0m\u00c2\u0085\u00c2\u009d0;title\u00c2\u009c`,
      `https://${LONG}`.slice(0, 200)
    ]
    for (const origin of asked)
      t.equal(origins.filter((logged) => logged === origin).length, 2, 'of the upgrade, and of the ticket request')
    const raw = await openRaw(t, app, { ticket })
    t.match(await raw.request('echo', { text: 'the ticket is not burnt' }), { type: '$reply' })
  }
)

/** Logs as the manual shows it. */
function declareLogging(closings: Closings) {
  return (app: FastifyInstance): void => {
    app.wsRoute('/echo', {
      contract: echoContract,
      handlers: echoHandlers,
      onClose: (connection, code, reason) => {
        connection.log.info({ code, reason }, 'closed')
        connection.log.info(`closed: ${reason}`)
        closings.onClose(connection, code, reason)
      }
    })
  }
}

const reasons = {
  'CRLF and ANSI': ['\r\n{"level":60,"msg":"forged"}', '\u001b[31mred\u001b[0m', '\u001b]0;title\u0007', '\0\b\t', '"}', 'x'.repeat(123)],
  'ANSI of eight bits': ['\u009b31mred\u009b0m', '\u009d0;title\u009c', '\u0085{"level":60}']
}

for (const [what, evil] of Object.entries(reasons)) {
  const log = rawLog('debug')
  const closings = new Closings()
  attack(
    `H10 ${what} in a close reason: escaped and cut in the log`,
    { server: { logger: log.logger }, plugin: manyRequests, declare: declareLogging(closings) },
    async (t, { app }) => {
      const before = log.lines.length
      for (const [i, reason] of evil.entries()) {
        const raw = await openRaw(t, app)
        raw.write(closeFrame(4000, reason))
        await raw.closed
        raw.raw.socket.destroy()
        const { reason: told } = (await closings.count(i + 1))[i] ?? { reason: '' }
        t.ok(Buffer.byteLength(told) <= 6 * 123, 'cut')
      }
      const lines = log.lines.slice(before).filter((line) => line.includes('"msg":"closed'))
      t.equal(lines.length, 2 * evil.length, 'one line each, whatever is in it')
      t.same(badLines(lines), [])
    }
  )
}
