/** The audit log in words: what an entry's action is called, who did it, on what. Pure. */
import type { components } from '@/api/schema'

export type Entry = components['schemas']['AuditRead']

const ACTIONS: Record<string, string> = {
  'api_token.used_from_new_address': 'API token used from a new address',
  'audit.entries_lost': 'Entries could not be written',
  'audit.exported': 'Audit log exported',
  'audit.inconsistency_found': 'The audit log does not add up',
  'device.token_rotated': 'Device got a new token',
  'device.used_from_new_address': 'Device speaks from a new address',
  'external_identity.linked': 'Account elsewhere linked',
  'external_identity.unlinked': 'Account elsewhere unlinked',
  'grant.changed': 'Role changed',
  'grant.given': 'Role given',
  'grant.taken': 'Role taken away',
  'hub.started': 'Hub started',
  'mqtt.connect_refused': 'MQTT connection refused',
  'mqtt.publish_refused': 'MQTT message refused',
  'mqtt.subscribe_refused': 'MQTT subscription refused',
  'organization.left': 'Left the organization',
  'request.refused': 'Request refused',
  'user.all_sessions_ended': 'Signed out everywhere',
  'user.other_sessions_ended': 'Signed out everywhere else',
  'user.password_changed': 'Password changed',
  'user.password_forgotten': 'Asked for a new password',
  'user.password_reset': 'Password set by a link',
  'user.password_reset_offered': 'Link for a new password made',
  'user.recovery_codes_renewed': 'New recovery codes',
  'user.refresh_token_reused': 'Spent session token used again',
  'user.registered': 'Registered',
  'user.second_factor_added': 'Two-factor sign-in turned on',
  'user.second_factor_removed': 'Two-factor sign-in turned off',
  'user.session_ended': 'Session ended',
  'user.sign_in_refused': 'Sign-in refused',
  'user.signed_in': 'Signed in',
  'user.signed_in_from_new_address': 'Signed in from a new address',
  'user.signed_out': 'Signed out',
  'user.taken_over': 'Account taken over by its e-mail address',
}
const THINGS: Record<string, string> = { api_token: 'API token', mqtt: 'MQTT', api: 'API' }

/** Actions that are not known here yet read as they are written: `home.deleted` is "Home deleted". */
export function actionText(action: string): string {
  const known = ACTIONS[action]
  if (known) return known
  const [thing = '', ...rest] = action.split('.')
  const text = `${THINGS[thing] ?? thing} ${rest.join(' ')}`.replaceAll('_', ' ').trim()
  return text.charAt(0).toUpperCase() + text.slice(1)
}

export function kindText(kind: string): string {
  return (THINGS[kind] ?? kind).replaceAll('_', ' ')
}

export function actorText(entry: Entry): string {
  if (entry.actor_name) return entry.actor_name
  if (entry.actor_kind === 'system') return 'The hub itself'
  if (entry.actor_kind === 'anonymous') return 'Somebody not signed in'
  return `${kindText(entry.actor_kind)} ${entry.actor_id ?? ''}`.trim()
}

/** What it was done to, unless that says no more than who did it. */
export function objectText(entry: Entry): string | null {
  if (!entry.object_kind) return null
  if (entry.object_kind === 'user' && entry.actor_kind === 'user' && entry.object_id === String(entry.actor_id)) return null
  const text = entry.object_name ?? `${kindText(entry.object_kind)} ${entry.object_id ?? ''}`.trim()
  return text === entry.actor_name ? null : text
}

/** Values of the details as one line each. */
export function detailRows(details: Record<string, unknown>): { label: string; value: string }[] {
  return Object.entries(details)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => ({ label: kindText(name), value: typeof value === 'string' ? value : JSON.stringify(value) }))
}

export const OUTCOMES = {
  success: { label: 'Done', tone: 'neutral' },
  refused: { label: 'Refused', tone: 'warn' },
  failed: { label: 'Failed', tone: 'bad' },
} as const

/** How the actions of a kind begin. */
export const KINDS = [
  { value: '', label: 'Everything' },
  { value: 'user.', label: 'Accounts and sign-ins' },
  { value: 'grant.', label: 'Roles' },
  { value: 'invitation.', label: 'Invitations' },
  { value: 'organization.', label: 'Organizations' },
  { value: 'device.', label: 'Devices' },
  { value: 'home.', label: 'Homes' },
  { value: 'room.', label: 'Rooms' },
  { value: 'resident.', label: 'Residents' },
  { value: 'api_token.', label: 'API tokens' },
  { value: 'passkey.', label: 'Passkeys' },
  { value: 'request.', label: 'Refused requests' },
  { value: 'mqtt.', label: 'Refused over MQTT' },
  { value: 'audit.', label: 'The audit log itself' },
  { value: 'hub.', label: 'The hub itself' },
] as const

export const PERIODS = [
  { value: '', label: 'All times', hours: 0 },
  { value: '1h', label: 'The last hour', hours: 1 },
  { value: '24h', label: 'The last 24 hours', hours: 24 },
  { value: '7d', label: 'The last 7 days', hours: 168 },
  { value: '30d', label: 'The last 30 days', hours: 720 },
] as const
