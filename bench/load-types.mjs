/** Runs TypeScript by blanking its types out, and every package as it is installed: what users run is what is measured. */
import { register } from 'node:module'

const cache = new URL('../node_modules/.cache/strip-types/', import.meta.url)
register('../test/fixtures/strip-types-hooks.mjs', import.meta.url, { data: { cache: cache.href, modules: {} } })
