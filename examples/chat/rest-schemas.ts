import Type from 'typebox'

/** How Fastify answers with an error. */
export const errorResponse = Type.Object(
  {
    statusCode: Type.Integer(),
    code: Type.Optional(Type.String()),
    error: Type.String(),
    message: Type.String()
  },
  { description: 'An error' }
)

/** The query of a request that takes none. */
export const noQuery = Type.Object({}, { additionalProperties: false })

/** For the documentation: the route wants `Authorization: Bearer <token>`. */
export const bearerOnly = [{ bearer: [] }]
