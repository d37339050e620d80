import t from 'tap'
import { checkCloseCode, codeOfRefusedFrame, fitReason } from '../../src/connection/close.js'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { connect, listen } from '../fixtures/client.js'

t.test('only codes that an application may send are sent', async (t) => {
  for (const code of [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000, 4403, 4999]) t.equal(checkCloseCode(code), code)
  for (const code of [
    0,
    -1,
    999,
    1002,
    1003,
    1004,
    1005,
    1006,
    1007,
    1009,
    1010,
    1014,
    1015,
    2999,
    5000,
    4000.5,
    Number.NaN,
    Number.POSITIVE_INFINITY
  ]) {
    t.throws(() => checkCloseCode(code), { code: 'FST_WS_TICKET_INVALID_CLOSE_CODE', message: new RegExp(`^Close code ${code} `) })
  }
})

t.test('a reason is cut to 123 bytes, not inside of a character', async (t) => {
  t.equal(fitReason(''), '')
  t.equal(fitReason('x'.repeat(123)), 'x'.repeat(123))
  t.equal(fitReason('x'.repeat(124)), 'x'.repeat(123))
  t.equal(fitReason('ä'.repeat(62)), 'ä'.repeat(61))
  t.equal(fitReason('😀'.repeat(100)), '😀'.repeat(30))
  t.ok(Buffer.byteLength(fitReason(`${'x'.repeat(122)}\uD83D`)) <= 123)
})

t.test('a connection is closed with the code and reason of the app', async (t) => {
  const app = await buildApp(t)
  const invalid: unknown[] = []
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      ...echoHandlers,
      note({ text }, connection) {
        if (text === 'default') return connection.close()
        try {
          connection.close(1006)
        } catch (error) {
          invalid.push(error)
        }
        connection.close(4000, 'x'.repeat(200))
        connection.close(4001, 'the first counts')
      }
    }
  })
  await listen(app)
  const client = await connect(t, app, '/echo')
  await client.next()
  client.send({ type: 'note', payload: { text: 'default' } })
  t.strictSame(await client.closed, { code: 1000, reason: '' })

  const other = await connect(t, app, '/echo')
  await other.next()
  other.send({ type: 'note', payload: { text: 'own' } })
  t.strictSame(await other.closed, { code: 4000, reason: 'x'.repeat(123) })
  t.match(invalid, [{ code: 'FST_WS_TICKET_INVALID_CLOSE_CODE' }])
})

t.test('F2 F3 F4 a frame that ws itself refuses has the close code that ws has sent; no other error has one', async (t) => {
  const error = (code: unknown) => Object.assign(new Error('x'), { code })
  const sent = { EXPECTED_MASK: 1002, INVALID_UTF8: 1007, TOO_MANY_BUFFERED_PARTS: 1008, UNSUPPORTED_MESSAGE_LENGTH: 1009 }
  for (const [name, code] of Object.entries(sent)) t.equal(codeOfRefusedFrame(error(`WS_ERR_${name}`)), code)
  t.equal(codeOfRefusedFrame(error('Z_DATA_ERROR')), 1007)
  for (const code of [undefined, 7, 'ECONNRESET']) t.equal(codeOfRefusedFrame(error(code)), undefined)
})
