import { Parser, stringify } from '@asyncapi/parser'

/** An AsyncAPI document with its references resolved, as JSON for the page. Throws where the official parser objects to anything. */
export async function resolved(document: object): Promise<string> {
  const { document: parsed, diagnostics } = await new Parser().parse(JSON.stringify(document))
  // which is no fault: newer versions say nothing more that is of use here
  const faults = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version')
  const text = stringify(parsed)
  if (text === undefined || faults.length > 0) throw new Error(`The document is not valid: ${faults.map(faultWords).join('; ')}`)
  return text
}

function faultWords({ path, message }: { path: readonly (string | number)[]; message: string }): string {
  return `${path.join('.')}: ${message}`
}
