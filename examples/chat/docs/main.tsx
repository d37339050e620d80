import { AsyncApiComponentWP as AsyncApi } from '@asyncapi/react-component'
import { createRoot } from 'react-dom/client'
import { extensions, plugin } from './extensions.js'

const CONFIG = {
  // each message is shown where it is sent and answered
  show: { sidebar: true, info: true, servers: true, operations: true, messages: false, schemas: false },
  expand: { messageExamples: true },
  receiveLabel: 'To the server',
  replyLabel: 'To the server, answered',
  sendLabel: 'From the server',
  extensions
}

const page = document.querySelector('main')
if (page) await show(page)

async function show(page: Element): Promise<void> {
  try {
    const response = await fetch('document.json')
    const schema = await response.json()
    if (!response.ok) throw new Error(schema.message)
    document.title = schema.info.title
    createRoot(page).render(<AsyncApi schema={schema} config={CONFIG} plugins={[plugin]} />)
  } catch (error) {
    page.textContent = `The document can not be shown: ${error instanceof Error ? error.message : String(error)}`
  }
}
