/** Safe for a log and a terminal: control characters, those of eight bits too, as `\u…`. */
export function escapeControls(text: string): string {
  return escapeSigns(text, /\p{Cc}/gu)
}

/** Nothing but printable ASCII: all else as `\u…`. */
export function escapeToAscii(text: string): string {
  return escapeSigns(text, /[^ -~]/g)
}

function escapeSigns(text: string, signs: RegExp): string {
  return text.replaceAll(signs, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
