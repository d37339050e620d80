import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { outsideTap, STRIP_TYPES } from '../fixtures/processes.js'

t.test('an open connection holds on to nothing of its HTTP request', async (t) => {
  const script = fileURLToPath(new URL('../fixtures/collected-request.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(...outsideTap(process.execPath, ['--expose-gc', STRIP_TYPES, script]), {
    timeout: 120_000
  })
  t.strictSame(JSON.parse(stdout), {
    seen: 4,
    left: [],
    news: { text: 'still published to' },
    reply: { text: 'still answered' }
  })
})
