/** Makes an element: `element('li', { class: 'line' }, 'some text', otherElement)`. What is undefined or null is left out. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(attribute, value)
  // append() makes text nodes of texts, never markup
  node.append(...children.flat().filter((child) => child !== undefined && child !== null))
  return node
}

export function code(text) {
  return element('code', {}, text)
}

/** A table; the first cell of each row is its heading. */
export function table(caption, headings, rows) {
  const head = element('tr', {}, ...headings.map((heading) => element('th', { scope: 'col' }, heading)))
  const lines = rows.map(([first, ...others]) =>
    element('tr', {}, element('th', { scope: 'row' }, first), ...others.map((cell) => element('td', {}, cell)))
  )
  const made = element('table', {}, element('caption', {}, caption), element('thead', {}, head), element('tbody', {}, ...lines))
  return element('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption }, made)
}
