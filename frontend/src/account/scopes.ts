/** Scopes for people: what each lets a token do, and which go together. Pure. */

const THINGS: [thing: string, label: string][] = [
  ['devices', 'Devices'],
  ['telemetry', 'Readings and events'],
  ['tasks', 'Tasks of devices'],
  ['alerts', 'Alerts'],
  ['homes', 'Homes, rooms, residents'],
  ['users', 'People'],
  ['organization', 'The organization and its audit log'],
  ['settings', 'Contacts and policies'],
  ['firmware', 'Firmware'],
  ['billing', 'Billing'],
  ['system', 'This machine'],
  ['ops', 'The whole installation'],
]

export interface ScopeRow {
  thing: string
  label: string
  /** The scope's name, or null when the user does not have it. */
  read: string | null
  write: string | null
}

/** One row for each thing of which the user may read or change something. */
export function scopeRows(mine: readonly string[]): ScopeRow[] {
  const own = (scope: string): string | null => (mine.includes(scope) ? scope : null)
  return THINGS.map(([thing, label]) => ({ thing, label, read: own(`${thing}:read`), write: own(`${thing}:write`) })).filter(
    ({ read, write }) => read !== null || write !== null,
  )
}

/** Two words for each thing, such as "Devices: read, change". */
export function saidScopes(scopes: readonly string[]): string[] {
  const said = scopeRows(scopes).map(({ label, read, write }) => `${label}: ${[read && 'read', write && 'change'].filter(Boolean).join(', ')}`)
  return scopes.includes('admin') ? [...said, 'Administration'] : said
}

/** What most scripts want: to see what the devices say, and to change nothing. */
export const USUAL_SCOPES = ['devices:read', 'telemetry:read'] as const
