/** The typed client. Adds the token, renews it once when it is refused, and turns refusals into ApiProblem. */
import createClient from 'openapi-fetch'
import { hubAnswered, hubIsAway } from './hub'
import { HubAway, problemOf } from './problems'
import type { paths } from './schema'
import { freshToken, refresh, token } from './session'

async function authorized(request: Request): Promise<Response> {
  await freshToken()
  const again = request.clone()
  let answer = await transmit(request)
  if (answer.status === 401 && (await refresh())) answer = await transmit(again)
  if (!answer.ok) throw await problemOf(answer)
  return answer
}

async function anonymous(request: Request): Promise<Response> {
  const answer = await reach(request)
  if (!answer.ok) throw await problemOf(answer)
  return answer
}

async function transmit(request: Request): Promise<Response> {
  const current = token()
  if (current) request.headers.set('Authorization', `Bearer ${current}`)
  return reach(request)
}

async function reach(request: Request): Promise<Response> {
  try {
    const answer = await fetch(request)
    hubAnswered()
    return answer
  } catch (error) {
    // A request that its page no longer wants says nothing about the hub.
    if (request.signal.aborted) throw error
    hubIsAway()
    throw new HubAway()
  }
}

const common = { baseUrl: '/', querySerializer: { array: { style: 'form', explode: true } } } as const

export const client = createClient<paths>({ ...common, fetch: authorized })

/** For what devices ask: the hub takes a user's token there for a device's, and refuses it. */
export const openClient = createClient<paths>({ ...common, fetch: anonymous })
