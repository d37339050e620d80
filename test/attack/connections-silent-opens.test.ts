import { attack } from '../fixtures/attack.js'
import { connect } from '../fixtures/client.js'
import { LineProcess } from '../fixtures/line-process.js'
import { withHttp } from '../fixtures/server-options.js'
import type { Openings } from '../fixtures/tcp-opener.js'

const HEADERS_TIMEOUT_MS = 2000
const CHECK_MS = 250
/** For a machine that has other things to do. */
const SLACK_MS = 45_000
const server = withHttp({ headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS })

/** The server's end of each socket is in this process, the other one in processes of their own: there is a limit for each. */
const processes = [
  { localAddress: '127.0.0.9', kind: 'silent', count: 4500 },
  { localAddress: '127.0.0.10', kind: 'silent', count: 4500 },
  { localAddress: '127.0.0.11', kind: 'dripping', count: 1000 }
]

attack('E1 10,000 TCP opens without a byte or with slow headers are answered 408 within headersTimeout', { server }, async (t, scene) => {
  const { app, port, honest } = scene
  const started = processes.map(({ localAddress, kind, count }) => {
    return new LineProcess(t, 'tcp-opener.ts').ask<Openings>(`open ${port} ${localAddress} ${count} ${kind}`)
  })
  const finished = Promise.all(started)
  await honest.beat()
  const newcomer = await connect(t, app, '/echo')
  t.match(await newcomer.next(), { type: '$welcome' }, 'who speaks is let in meanwhile')
  for (const [index, { opened, answers, unanswered, longestMs }] of (await finished).entries()) {
    const { count, kind } = processes[index] ?? {}
    const timedOut = answers['HTTP/1.1 408 Request Timeout'] ?? 0
    t.same({ opened, kinds: Object.keys(answers).length, closed: timedOut + unanswered }, { opened: count, kinds: 1, closed: count })
    // an answer is lost where a byte of the client's crosses it
    t.ok(kind === 'dripping' ? timedOut > 0 : unanswered === 0, `${timedOut} ${kind} ones were answered 408`)
    t.ok(longestMs < HEADERS_TIMEOUT_MS + CHECK_MS + SLACK_MS, `the longest was open for ${longestMs} ms`)
  }
  t.match(await newcomer.request('echo', { text: 'still here' }), { type: '$reply' })
})
