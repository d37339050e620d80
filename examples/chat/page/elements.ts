/** Helpers for the DOM. What others wrote gets into it as text only, never as markup. */

/** Makes an element: `element('li', { class: 'line' }, 'some text', otherElement)`. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const node = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value)
  // append() makes text nodes of texts
  node.append(...children)
  return node
}

/** The element of that kind which index.html has under this id. */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id)
  if (found instanceof kind) return found
  throw new Error(`the page has no ${kind.name} '${id}'`)
}

/** Shows a text in an element, or hides the element when there is none. */
export function show(node: HTMLElement, text = ''): void {
  node.textContent = text
  node.hidden = text === ''
}
