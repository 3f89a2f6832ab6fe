/** How a status looks and is called. */
import type { Device } from '@/api/types'

export type Tone = 'good' | 'warn' | 'bad' | 'neutral'

const TONES: Record<string, Tone> = {
  online: 'good',
  offline: 'neutral',
  updating: 'warn',
  maintenance: 'warn',
  error: 'bad',
}

export const toneOf = (status: string): Tone => TONES[status] ?? 'neutral'

export const statusLabel = (status: string): string => status.charAt(0).toUpperCase() + status.slice(1)

/** Why a device is offline, in two words. */
const CAUSES: Record<NonNullable<Device['status_cause']>, string> = {
  never_heard: 'never heard',
  goodbye: 'said goodbye',
  reported: 'said goodbye',
  will: 'connection lost',
  keep_alive: 'fell silent',
  lost: 'connection lost',
  silent: 'fell silent',
  closed: 'cut off',
  released: 'released',
}

export const causeLabel = (cause: Device['status_cause']): string | null => (cause ? CAUSES[cause] : null)

export const STATUSES = [
  { value: '', label: 'All' },
  { value: 'online', label: 'Online' },
  { value: 'offline', label: 'Offline' },
  { value: 'error', label: 'Error' },
] as const
