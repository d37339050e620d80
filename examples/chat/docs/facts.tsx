import type { AsyncApiDocument } from 'fastify-ws-ticket'
import type { ReactNode } from 'react'

type Channel = AsyncApiDocument['channels'][string]
export type Ticket = Channel['x-ticket']
export type Limits = Channel['x-limits']
export type Rate = Limits['rateLimit']
export type DescribedError = NonNullable<AsyncApiDocument['components']['messages'][string]['x-errors']>[number]
export type CloseCode = AsyncApiDocument['x-close-codes'][number]

export function TicketSteps({ method, path, openapi }: Ticket): ReactNode {
  return (
    <ol className="facts">
      <li>
        <code>{`${method} ${path}`}</code> with your token
        {openapi && (
          <>
            : <a href={openapi}>the ticket route in OpenAPI</a>
          </>
        )}
      </li>
      <li>
        Open the WebSocket with the <code>protocols</code> that it answers, within seconds. They are good once.
      </li>
    </ol>
  )
}

export function rateWords({ max, timeWindow, burst, per }: Rate): string {
  return `${max} in ${timeWindow / 1000} s, ${burst} at once, per ${per}`
}

export function LimitsTable({ limits }: { limits: Limits }): ReactNode {
  const rows = Object.entries(limits).map(([name, value]) => [name, typeof value === 'object' ? rateWords(value) : String(value)])
  return <Table caption="Limits of a connection; times in milliseconds, sizes in bytes" headings={['Limit', 'Value']} rows={rows} />
}

export function ErrorsTable({ errors }: { errors: readonly DescribedError[] }): ReactNode {
  const rows = errors.map(({ code, statusCode, message }) => [code, String(statusCode), message])
  return <Table caption="What it may be refused with" headings={['Code', 'Status', 'Meaning']} rows={rows} />
}

export function CloseCodesTable({ codes }: { codes: readonly CloseCode[] }): ReactNode {
  const rows = codes.map(({ code, name }) => [String(code), name])
  return <Table caption="What the server closes a connection with" headings={['Code', 'Name']} rows={rows} />
}

interface TableProps {
  readonly caption: string
  readonly headings: readonly string[]
  /** The first cell of each names it. */
  readonly rows: readonly (readonly string[])[]
}

function Table({ caption, headings, rows }: TableProps): ReactNode {
  return (
    <section className="facts" aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {headings.map((heading) => (
              <th key={heading} scope="col">
                {heading}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([first, ...others]) => (
            <tr key={first}>
              <th scope="row">
                <code>{first}</code>
              </th>
              {others.map((text) => (
                <td key={text}>{text}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
