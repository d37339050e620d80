import t from 'tap'
import { escapeControls, escapeToAscii } from '../src/escape.js'

t.test('H10 control characters of a stranger are written out', async (t) => {
  t.equal(escapeControls('a\r\n\u001b[31m\u009b\u0085\0b'), 'a\\u000d\\u000a\\u001b[31m\\u009b\\u0085\\u0000b')
  t.equal(escapeControls('grüße, 世界'), 'grüße, 世界')
})

t.test('where nothing but ASCII is wanted, all else is told as its code', async (t) => {
  t.equal(escapeToAscii('https://äpp.example.com\n\u009b'), 'https://\\u00e4pp.example.com\\u000a\\u009b')
})
