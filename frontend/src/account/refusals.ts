/** Why signing in did not work, in words that say what to do. Pure. */
import { ApiProblem, sentenceOf } from '@/api/problems'
import { span } from '@/time/relative'

const FAR: Record<string, string> = {
  oidc_denied: 'The other provider, or you there, said no. Try again, or sign in with your password.',
  oidc_expired: 'Signing in at the other provider took too long, or was finished already. Begin again.',
  oidc_unavailable: 'The other provider does not answer at the moment. Try again in a while, or sign in with your password.',
  oidc_failed: 'Signing in at the other provider did not work. Try again; if it goes on, tell whoever manages this hub.',
  oidc_email_unverified: 'The other provider does not vouch for your e-mail address. Confirm it there, then try again.',
  oidc_linked_elsewhere: 'Somebody else here signs in with that account already.',
  account_inactive: 'This account is deactivated. Ask whoever manages this hub.',
}

/** What `?error=` says after a sign-in at another provider; null without one. */
export function farRefusal(code: unknown): string | null {
  if (typeof code !== 'string' || !code) return null
  return FAR[code] ?? FAR.oidc_failed!
}

export function signInRefusal(error: unknown): string {
  if (!(error instanceof ApiProblem)) return sentenceOf(error)
  if (error.code === 'wrong_second_factor') return 'This code is wrong or was used before. Wait for the next one, or use a recovery code.'
  if (error.status === 401) return 'That name and password do not belong together. Check both and try again.'
  if (error.status === 429) return `Too many tries. Wait ${span(error.retryAfterS ?? 60)} and try again.`
  return sentenceOf(error)
}
