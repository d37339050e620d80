import type { AsyncApiPlugin, ComponentSlotProps, ExtensionComponentProps } from '@asyncapi/react-component'
import { PluginSlot } from '@asyncapi/react-component'
import type { ComponentType } from 'react'
import {
  type CloseCode,
  CloseCodesTable,
  type DescribedError,
  ErrorsTable,
  type Limits,
  LimitsTable,
  type Rate,
  rateWords,
  type Ticket,
  TicketSteps
} from './facts.js'

/** How the component shows what the document says beyond AsyncAPI, each where it stands. */
export const extensions: Record<string, ComponentType<ExtensionComponentProps>> = {
  'x-ticket': ({ propertyValue }: ExtensionComponentProps<Ticket>) => <TicketSteps {...propertyValue} />,
  'x-limits': ({ propertyValue }: ExtensionComponentProps<Limits>) => <LimitsTable limits={propertyValue} />,
  'x-rate-limit': ({ propertyValue }: ExtensionComponentProps<Rate>) => <p>Rate limit: {rateWords(propertyValue)}</p>,
  'x-errors': ({ propertyValue }: ExtensionComponentProps<readonly DescribedError[]>) => <ErrorsTable errors={propertyValue} />
}

/** What the component has no place for: the type of a message above it, and the close codes. */
export const plugin: AsyncApiPlugin = {
  name: 'fastify-ws-ticket',
  version: '1.0.0',
  install(api) {
    api.registerComponent(PluginSlot.OPERATION, OperationHead)
    api.registerComponent(PluginSlot.INFO, CloseCodes)
  }
}

function OperationHead({ context: { operation } }: ComponentSlotProps<PluginSlot.OPERATION>) {
  const rate: Rate | undefined = operation.extensions().get('x-rate-limit')?.value()
  return (
    <h4 className="message" id={operation.id()}>
      <code>{operation.messages().all()[0]?.name()}</code> {rate && <span className="badge">{rateWords(rate)}</span>}
    </h4>
  )
}

function CloseCodes({ context: { document } }: ComponentSlotProps<PluginSlot.INFO>) {
  const codes: readonly CloseCode[] = document.extensions().get('x-close-codes')?.value() ?? []
  return (
    <details>
      <summary>Close codes</summary>
      <CloseCodesTable codes={codes} />
    </details>
  )
}
