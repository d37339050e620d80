import t from 'tap'
import { createTicket, hashTicket, isTicketFormat } from '../../src/ticket/ticket.js'

t.test('A12 a ticket is 43 base64url characters and never the same twice', async (t) => {
  const tickets = new Set(Array.from({ length: 10_000 }, createTicket))
  t.equal(tickets.size, 10_000)
  t.ok([...tickets].every(isTicketFormat))
})

t.test('B2 what is not a ticket by its format is told apart', async (t) => {
  for (const text of ['', '__proto__', 'constructor', 'a'.repeat(42), 'a'.repeat(44), `${'a'.repeat(42)}\n`, `${'a'.repeat(42)}*`]) {
    t.notOk(isTicketFormat(text), JSON.stringify(text))
  }
})

t.test('B1 the hash is SHA-256 of the ticket', async (t) => {
  t.equal(hashTicket('abc'), 'ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
})
