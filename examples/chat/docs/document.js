/** What a reference such as `#/channels/chat` leads to, through references on the way. */
export function lookUp(document, ref) {
  let node = document
  for (const name of ref.split('/').slice(1))
    node = resolve(document, node)[decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')]
  return resolve(document, node)
}

/** What stands for itself, or what its reference leads to. */
export function resolve(document, node) {
  return typeof node?.$ref === 'string' ? lookUp(document, node.$ref) : node
}

/** A schema that may say which format it is of. */
export function schemaOf(payload) {
  return payload.schemaFormat ? payload.schema : payload
}

/** The operations of a channel, with their messages in place of the references. */
export function operationsOf(document, channelKey) {
  const operations = Object.entries(document.operations).filter(([, { channel }]) => channel.$ref === `#/channels/${channelKey}`)
  return operations.map(([key, operation]) => ({
    ...operation,
    key,
    message: lookUp(document, operation.messages[0].$ref),
    answers: (operation.reply?.messages ?? []).map(({ $ref }) => lookUp(document, $ref))
  }))
}
