/** How a status looks and is called. */
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

export const STATUSES = [
  { value: '', label: 'All' },
  { value: 'online', label: 'Online' },
  { value: 'offline', label: 'Offline' },
  { value: 'error', label: 'Error' },
] as const
