import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import FailuresLast from './fixtures/failures-last.mjs'

const TAP = `TAP version 14
# Subtest: test/a.test.ts
    # Subtest: the outer
        ok 1 - this is so
        not ok 2 - that is so
          ---
          diff: |
            -1
            +2
          at:
            fileName: test/a.test.ts
            lineNumber: 7
          ...
        1..2
    not ok 1 - the outer # time=5ms
    not ok 2 - left out # SKIP for now
    1..2
not ok 1 - test/a.test.ts # time=6ms
  ---
  exitCode: 1
  ...
# Subtest: test/b.test.ts
    ok 1 - this is so
    1..1
ok 2 - test/b.test.ts # time=2000ms
# Subtest: test/c.test.ts
    ok 1 - this is so
    1..1
not ok 3 - test/c.test.ts # time=9ms
  ---
  exitCode: null
  signal: SIGKILL
  ...
`

async function report(tap: string): Promise<string[]> {
  const reporter = new FailuresLast()
  const reported = text(reporter)
  reporter.end(tap)
  await once(reporter, 'end')
  return (await reported).split('\n')
}

t.test('what failed is told at once and at the end, with its file, its titles and what was found', async (t) => {
  const failures = [
    'not ok - test/a.test.ts > the outer > that is so (test/a.test.ts:7)',
    '    diff: -1',
    '    +2',
    'not ok - test/c.test.ts',
    '    exitCode: null',
    '    signal: SIGKILL'
  ]
  const lines = await report(`${TAP}1..3\n`)
  t.same(lines.slice(0, 6), failures)
  t.same(lines.slice(6, -2), ['the slowest: test/b.test.ts 2 s, test/c.test.ts 0 s, test/a.test.ts 0 s', '', '2 FAILED', ...failures])
  t.equal(lines.at(-2), 'not ok: 3 files, 5 assertions, 2 failed, 0 s')
})

t.test('a run that is all well is told in few words', async (t) => {
  const lines = await report(
    'TAP version 14\n# Subtest: test/b.test.ts\n    ok 1 - this is so\n    1..1\nok 1 - test/b.test.ts # time=9ms\n1..1\n'
  )
  t.same(lines, ['the slowest: test/b.test.ts 0 s', 'ok: 1 files, 1 assertions, 0 failed, 0 s', ''])
})

t.test('files that were not run are told, and so is a run that was given up', async (t) => {
  t.ok((await report(`${TAP}1..9\n`)).includes('not ok - 6 of 9 files were not run'))
  t.match((await report('TAP version 14\nBail out! no more\n')).join('\n'), /not ok - bail out\n {4}reason: no more/)
})
