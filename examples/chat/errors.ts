import createError from '@fastify/error'

/** The app's own refusals. A `statusCode` of 400 to 499 lets a client of the WebSocket see code and message, too. */
export const Unauthenticated = createError('CHAT_UNAUTHENTICATED', "Log in, and send the token as 'Authorization: Bearer <token>'.", 401)
export const TooManyRooms = createError<[max: number]>('CHAT_TOO_MANY_ROOMS', 'You can be in %s rooms at a time; leave one first.', 403)
export const DocsNotMade = createError(
  'CHAT_DOCS_NOT_MADE',
  'The page is shown by packages of its own; `npm run setup` installs them. Else see the log.',
  503
)
