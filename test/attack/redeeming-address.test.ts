import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { attack } from '../fixtures/attack.js'
import { isGood, knock, ticketFor } from '../fixtures/attacker.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = { issuePerIp: many, issuePerUser: many, upgradePerIp: many, maxTicketsPerUser: 1000 }
const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
/** The proxy of these apps; whoever comes from another address is not believed. */
const PROXY = '127.0.0.1'
const STRANGER = '127.0.0.9'
const behindProxy = { trustProxy: PROXY }
/** What the proxy says of a client, for whom it ends TLS. */
const saysOf = (ip: string) => ({ 'X-Forwarded-For': ip, 'X-Forwarded-Proto': 'https' })

function issueTo(t: Test, app: FastifyInstance, ip: string): Promise<string> {
  return ticketFor(t, app, '/echo', { headers: saysOf(ip), from: PROXY })
}

const bound = { server: behindProxy, plugin: { ...plenty, bindTicketToIp: true } }

attack('C15 with IP binding a ticket is refused from every other address, and is not burnt', bound, async (t, { app, port }) => {
  const cases: Record<string, { others: string[]; same: string }> = {
    '203.0.113.5': { others: ['203.0.113.6', '203.0.113.50', '203.0.113.4', '2001:db8::1', '::ffff:203.0.113.6'], same: '203.0.113.5' },
    '203.0.113.7': { others: ['::ffff:203.0.113.8'], same: '::ffff:203.0.113.7' },
    '::ffff:203.0.113.9': { others: ['203.0.113.10'], same: '203.0.113.9' }
  }
  for (const [ip, { others, same }] of Object.entries(cases)) {
    const ticket = await issueTo(t, app, ip)
    for (const other of others)
      t.match(await knock(t, port, '/echo', ticket, { changes: saysOf(other) }), invalid, `of ${ip}, from ${other}`)
    t.ok(await isGood(t, port, '/echo', ticket, { changes: saysOf(same) }), `of ${ip}, from ${same}`)
  }
})

attack('C15 with IP binding an IPv6 address is its /64', bound, async (t, { app, port }) => {
  const others = ['2001:db8:1:3::1', '2001:db8:1:1:ffff:ffff:ffff:ffff', '2001:db8:2:2::1', '2001:db8::1', '203.0.113.5', '::1']
  const ours = ['2001:db8:1:2::1', '2001:db8:1:2::', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:DB8:0001:0002:0:0:0:9']
  for (const ip of ours) {
    const ticket = await issueTo(t, app, '2001:db8:1:2::1')
    for (const other of others) t.match(await knock(t, port, '/echo', ticket, { changes: saysOf(other) }), invalid, `from ${other}`)
    t.ok(await isGood(t, port, '/echo', ticket, { changes: saysOf(ip) }), `from ${ip}`)
  }
})

attack('C15 with IP binding the address that somebody claims who is not the proxy is ignored', bound, async (t, { app, port }) => {
  const ip = '203.0.113.5'
  const ticket = await issueTo(t, app, ip)
  const forged = { ...saysOf(ip), Forwarded: `for=${ip}`, 'X-Real-IP': ip, 'X-Client-IP': ip }
  t.match(await knock(t, port, '/echo', ticket, { from: STRANGER, changes: forged }), invalid, 'on the upgrade')
  const appended = { ...saysOf(`${ip}, 198.51.100.7`) }
  t.match(await knock(t, port, '/echo', ticket, { changes: appended }), invalid, 'in front of what the proxy says')
  t.ok(await isGood(t, port, '/echo', ticket, { changes: saysOf(ip) }), 'not burnt')

  const own = await ticketFor(t, app, '/echo', { from: STRANGER, headers: saysOf(ip) })
  t.match(await knock(t, port, '/echo', own, { changes: saysOf(ip) }), invalid, 'nor is it bound to an address that was claimed for it')
  t.ok(await isGood(t, port, '/echo', own, { from: STRANGER }), 'but to its own')
})

attack(
  'C15 with IP binding and no proxy the address of the socket counts',
  { plugin: { ...plenty, bindTicketToIp: true } },
  async (t, { app, port }) => {
    const ticket = await ticketFor(t, app, '/echo', { from: STRANGER })
    for (const changes of [{}, saysOf(STRANGER)]) t.match(await knock(t, port, '/echo', ticket, { from: '127.0.0.8', changes }), invalid)
    t.ok(await isGood(t, port, '/echo', ticket, { from: STRANGER, changes: saysOf('127.0.0.8') }))
  }
)

attack('C15 IP binding is opt-in', { server: behindProxy, plugin: plenty }, async (t, { app, port }) => {
  const ticket = await issueTo(t, app, '203.0.113.5')
  t.ok(await isGood(t, port, '/echo', ticket, { changes: saysOf('2001:db8::1') }))
})
