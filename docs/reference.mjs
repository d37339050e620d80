/**
 * Writes docs/reference.md from the docstrings of what the package exports, as its declarations in dist have them. With `--print` it
 * prints it instead. Run by `npm run docs`, which builds first.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT =
  process.argv.find((argument, index) => index > 1 && !argument.startsWith('--')) ?? fileURLToPath(new URL('../', import.meta.url))
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** Where a statement begins: declarations have nothing else at the beginning of a line. */
const STATEMENT = /^(?=\/\*\*|export |declare |import |interface |type |const |class |function |abstract )/m

const entries = Object.entries(manifest.exports).filter(([, target]) => target.types)
const text = `# Reference

What each entry of the package exports, written from the docstrings by \`npm run docs\`. Options are listed in [options.md](options.md), errors in
[errors.md](errors.md), frames in [protocol.md](protocol.md).
${entries.map(describeEntry).join('')}`

if (process.argv.includes('--print')) process.stdout.write(text)
else writeFileSync(join(ROOT, 'docs/reference.md'), text)

function describeEntry([path, { types }]) {
  const file = join(ROOT, types)
  const names = exportsOf(file)
  const augmented = path === '.' ? describeAugmentation(join(dirname(file), 'augmentation.d.ts')) : ''
  return `\n## ${join(manifest.name, path)}\n${augmented}${names.map(describe).join('')}`
}

/** What a file exports from others, by name. */
function exportsOf(file) {
  const found = []
  for (const [, list, from] of read(file).matchAll(/^export (?:type )?\{([^}]+)\} from '(.+)\.js';$/gm)) {
    for (const item of list.split(',')) {
      const [name, alias = name] = item
        .trim()
        .replace(/^type /, '')
        .split(' as ')
      if (alias !== 'default') found.push({ name, file: join(dirname(file), `${from}.d.ts`) })
    }
  }
  return found.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1))
}

function describe({ name, file }) {
  const statements = read(file).split(STATEMENT)
  const at = statements.findIndex((statement) => new RegExp(`^export (declare )?(abstract )?\\w+ ${name}\\b`).test(statement))
  if (at < 0) throw new Error(`${file} has no ${name}`)
  const before = statements[at - 1] ?? ''
  return section(name, before.startsWith('/**') ? before : '', statements[at])
}

/** What the package adds to Fastify's own types. */
function describeAugmentation(file) {
  const statement = read(file)
    .split(STATEMENT)
    .find((part) => part.startsWith('declare module'))
  return section('app and request', '/** What the plugin adds to the instance and the request of Fastify. */', statement)
}

function section(title, docstring, declaration) {
  return `\n### \`${title}\`\n\n${prose(docstring)}\`\`\`ts\n${withoutLinks(declaration.trim())}\n\`\`\`\n`
}

/** A docstring as a paragraph, with its longer examples as blocks of code, and its other tags as a list. */
function prose(docstring) {
  const lines = docstring
    .replace(/^\/\*\*|\*\/\s*$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
    .join('\n')
  const [what, ...tags] = withoutLinks(lines.trim())
    .split(/^(?=@)/m)
    .map((part) => part.trim())
  const isProgram = (tag) => tag.startsWith('@example\n')
  const programs = tags.filter(isProgram).map((tag) => tag.replace(/^@example\n(.*)$/s, 'For example:\n\n```ts\n$1\n```'))
  const list = tags
    .filter((tag) => !isProgram(tag))
    .map((tag) => tag.replace(/^@example (.*)$/s, '- For example: `$1`').replace(/^@(\w+) /, '- *$1*: '))
  const parts = [what, ...programs, list.join('\n')].filter((part) => part !== '')
  return parts.map((part) => `${part}\n\n`).join('')
}

function withoutLinks(text) {
  return text.replace(/\{@link ([\w.]+)\}/g, '`$1`')
}

function read(file) {
  return readFileSync(file, 'utf8')
}
