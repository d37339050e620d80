import { misuse } from './misuse.js'

/** A parameter as a route declares it, which no client sends so: what means a colon may write it `%3A`. */
const PARAMETER = /(?:^|\/):\w/

/** @throws TypeError for what is no path, or one that has a parameter in it which is not filled in */
export function checkPath(path: string): void {
  const [address = ''] = String(path).split('?', 1)
  if (!address.startsWith('/')) throw misuse(`The path is '${path}'; give the whole path of the route, which begins with '/', and no host.`)
  if (PARAMETER.test(address)) throw misuse(`The path '${path}' has a parameter in it; fill it in, such as '${filledIn(address)}'.`)
}

function filledIn(address: string): string {
  return address.replaceAll(/\/:[^/]+/g, '/1')
}
