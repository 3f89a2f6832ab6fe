/**
 * Who is signed in. The access token lives in this module's memory only; the refresh token in an HttpOnly cookie that
 * no script sees. Tabs share the cookie, take turns to refresh, and hear from each other when somebody signs in or out.
 */
import { reactive } from 'vue'
import { API, hubAnswered, hubIsAway, onReturn } from './hub'
import { exclusively } from './lock'
import { HubAway, problemOf } from './problems'
import type { Me, SignedIn } from './types'

type State = 'starting' | 'anonymous' | 'signed-in'

export const session = reactive<{ state: State; me: Me | null; ended: boolean }>({
  state: 'starting',
  me: null,
  ended: false,
})

// Says only that this browser once signed in, so that a first visit does not ask for a refresh that must fail.
const HINT = 'roost.signed-in'
/** What the address ends with after a sign-in at another provider: there is a session to take up. */
export const ARRIVED = '#signed-in'
const EARLY_MS = 60_000
const RETRY_MS = 15_000

let accessToken: string | null = null
let expiresAt = 0
let timer: ReturnType<typeof setTimeout> | undefined
let refreshing: Promise<boolean> | null = null
const tabs = 'BroadcastChannel' in globalThis ? new BroadcastChannel('roost.session') : null

const renewed = new Set<(token: string) => void>()

export function token(): string | null {
  return accessToken
}

/** Calls back with every new access token: open sockets pass it on. */
export function onToken(callback: (token: string) => void): () => void {
  renewed.add(callback)
  return () => renewed.delete(callback)
}

/** Whether this account may do something somewhere; where, the hub decides. */
export function may(scope: string): boolean {
  return session.me?.scopes.includes(scope) ?? false
}

/** A token that is good for at least some seconds, or null when nobody is signed in. */
export async function freshToken(): Promise<string | null> {
  if (accessToken && Date.now() < expiresAt - 5_000) return accessToken
  return (await refresh()) ? accessToken : null
}

/** Takes the session up again at page load. Resolves when it is known who is here; waits while the hub is away. */
export async function resume(): Promise<void> {
  const arrived = location.hash === ARRIVED
  if (arrived) remember(true)
  if (!remembered()) {
    session.state = 'anonymous'
    return
  }
  for (;;) {
    try {
      if (await refresh()) await loadMe()
      if (arrived) tabs?.postMessage('signed-in')
      return
    } catch (error) {
      if (!(error instanceof HubAway)) {
        leave()
        return
      }
      await new Promise<void>((resolve) => {
        const stop = onReturn(() => {
          stop()
          resolve()
        })
      })
    }
  }
}

/** With a second factor set up, the first try is refused with `second_factor_required`, and `code` comes along then. */
export async function signIn(identifier: string, password: string, code?: string): Promise<void> {
  await open('/auth/login', { identifier, password, cookie: true, ...(code ? { code } : {}) })
}

/** `credential`: what a passkey answered, as `passkeys.ts` writes it. */
export async function signInWithPasskey(credential: object): Promise<void> {
  await open('/auth/login/passkey', { credential, cookie: true })
}

async function open(path: string, body: object): Promise<void> {
  const answer = await post(path, body)
  if (!answer.ok) throw await problemOf(answer)
  accept((await answer.json()) as SignedIn)
  await loadMe()
  tabs?.postMessage('signed-in')
}

export async function register(account: {
  email: string
  password: string
  full_name?: string
  organization_name?: string
}): Promise<void> {
  const answer = await post('/auth/register', account)
  if (!answer.ok) throw await problemOf(answer)
  await signIn(account.email, account.password)
}

export async function signOut(): Promise<void> {
  try {
    // The answer does not matter: this browser forgets the session either way.
    await post('/auth/logout', {})
  } finally {
    forget()
  }
}

/** The session is over already, here and in the other tabs. */
export function forget(): void {
  leave()
  tabs?.postMessage('signed-out')
}

/** True when there is a new access token, false when the session is over. Throws HubAway when nobody answers. */
export function refresh(): Promise<boolean> {
  refreshing ??= exclusively(refreshOnce).finally(() => {
    refreshing = null
  })
  return refreshing
}

async function refreshOnce(): Promise<boolean> {
  if (!remembered()) return false
  const answer = await post('/auth/refresh', {})
  if (answer.ok) {
    accept((await answer.json()) as SignedIn)
    return true
  }
  if (answer.status === 429 || answer.status >= 500) {
    hubIsAway()
    throw new HubAway()
  }
  session.ended = session.state === 'signed-in'
  leave()
  return false
}

function accept(answer: SignedIn): void {
  accessToken = answer.access_token
  expiresAt = Date.now() + answer.expires_in * 1_000
  remember(true)
  for (const callback of renewed) callback(accessToken)
  schedule(Math.max(5_000, answer.expires_in * 1_000 - EARLY_MS))
}

function schedule(waitMs: number): void {
  clearTimeout(timer)
  timer = setTimeout(() => {
    refresh().catch(() => schedule(RETRY_MS))
  }, waitMs)
}

/** Reads again who is signed in: after a change of the profile, of organizations or of roles. */
export async function loadMe(): Promise<void> {
  const answer = await send('/auth/me', { headers: { Authorization: `Bearer ${accessToken}` } })
  if (!answer.ok) throw await problemOf(answer)
  session.me = (await answer.json()) as Me
  session.ended = false
  session.state = 'signed-in'
}

function leave(): void {
  clearTimeout(timer)
  accessToken = null
  expiresAt = 0
  session.me = null
  session.state = 'anonymous'
  remember(false)
}

function remembered(): boolean {
  try {
    return localStorage.getItem(HINT) === '1'
  } catch {
    return true
  }
}

function remember(yes: boolean): void {
  try {
    if (yes) localStorage.setItem(HINT, '1')
    else localStorage.removeItem(HINT)
  } catch {
    // Without storage the session lasts as long as the page.
  }
}

function post(path: string, body: object): Promise<Response> {
  return send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    const answer = await fetch(API + path, { ...init, credentials: 'same-origin' })
    hubAnswered()
    return answer
  } catch {
    hubIsAway()
    throw new HubAway()
  }
}

tabs?.addEventListener('message', (event) => {
  if (event.data === 'signed-out' && session.state === 'signed-in') leave()
  // Another account may have taken over the cookie: start afresh rather than mix the two.
  if (event.data === 'signed-in') location.reload()
})
