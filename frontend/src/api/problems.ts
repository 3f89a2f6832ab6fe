/** What the hub answers when it refuses (RFC 9457), and what we say when it does not answer at all. */

export interface ProblemBody {
  title?: string
  status?: number
  detail?: string
  code?: string
  errors?: { pointer: string; detail: string }[]
}

export class ApiProblem extends Error {
  readonly status: number
  readonly code: string
  readonly fields: Record<string, string>
  readonly retryAfterS: number | null

  constructor(status: number, body: ProblemBody, retryAfterS: number | null = null) {
    super(body.detail ?? body.title ?? `The hub answered ${status}.`)
    this.name = 'ApiProblem'
    this.status = status
    this.code = body.code ?? ''
    this.fields = fieldErrors(body.errors ?? [])
    this.retryAfterS = retryAfterS
  }
}

/** The request never reached the hub, or the answer never reached us. */
export class HubAway extends Error {
  constructor() {
    super('The hub does not answer. This page tries again by itself.')
    this.name = 'HubAway'
  }
}

/** The last part of each JSON pointer is the name of the form's field. */
export function fieldErrors(errors: { pointer: string; detail: string }[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const { pointer, detail } of errors) {
    const name = pointer.split('/').at(-1) ?? ''
    fields[name] ??= detail
  }
  return fields
}

export async function problemOf(response: Response): Promise<ApiProblem> {
  const retryAfter = Number(response.headers.get('Retry-After'))
  let body: ProblemBody = {}
  try {
    body = (await response.json()) as ProblemBody
  } catch {
    body = { title: response.statusText }
  }
  return new ApiProblem(response.status, body, retryAfter > 0 ? retryAfter : null)
}

/** The sentence to show for anything that was thrown. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ApiProblem) {
    const [first] = Object.values(error.fields)
    return first && error.status === 422 ? first : error.message
  }
  if (error instanceof Error) return error.message
  return 'Something went wrong. Please try again.'
}
