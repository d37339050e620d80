/** What loads the servers, in a process of its own. */
import { answer, tell } from '../answer.js'
import { Client } from './client.js'
import { type EchoAsked, echo } from './echo.js'
import { type HandshakesAsked, handshakes } from './handshakes.js'
import { Readers } from './readers.js'
import { type Wire, wireOf } from './wires.js'

/** How many connections are opened at a time. */
const AT_A_TIME = 32

interface Group {
  readonly wire: Wire
  readonly clients: Client[]
  readers?: Readers
}

const groups = new Map<number, Group>()
const held: Client[] = []
let opened = 0

function groupOf(group: number): Group {
  const found = groups.get(group)
  if (!found) throw new Error(`there is no group ${group}`)
  return found
}

answer(
  {},
  {
    async open({ wire: name, port, connections }: { wire: string; port: number; connections: number }) {
      const wire = wireOf(name)
      const clients: Client[] = []
      let next = 0
      const opener = async () => {
        while (next < connections) clients.push(await Client.open(wire, port, next++))
      }
      await Promise.all(Array.from({ length: AT_A_TIME }, opener))
      groups.set(opened, { wire, clients })
      return { group: opened++ }
    },
    handshakes: (asked: HandshakesAsked) => handshakes(asked),
    /** Opens connections that do nothing, and stay open until this process ends. */
    hold: (asked: HandshakesAsked) => handshakes(asked, (client) => held.push(client)),
    echo({ group, ...asked }: EchoAsked & { group: number }) {
      const { wire, clients } = groupOf(group)
      return echo(wire, clients, asked)
    },
    /** From now on the events that a group reads are told. */
    read({ group }: { group: number }) {
      const { wire, clients } = groupOf(group)
      const failed = (error: Error) => {
        throw error
      }
      groupOf(group).readers = new Readers(wire, clients, (events) => tell({ group, events }), failed)
      return {}
    },
    settled({ group, events }: { group: number; events: number }) {
      return groupOf(group).readers?.settled(events) ?? {}
    },
    close({ group }: { group: number }) {
      for (const client of groupOf(group).clients) client.close()
      groups.delete(group)
      return {}
    }
  }
)
