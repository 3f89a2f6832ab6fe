/** Health in words and colours. Pure. */
import type { Tone } from '@/devices/status'
import type { Check, Health } from './queries'

export const HEALTH: Record<Health['health'], { label: string; tone: Tone }> = {
  good: { label: 'Healthy', tone: 'good' },
  fair: { label: 'Needs a look', tone: 'warn' },
  poor: { label: 'In trouble', tone: 'bad' },
  unknown: { label: 'Health unknown', tone: 'neutral' },
}

export const STATES: Record<Check['state'], { label: string; tone: Tone }> = {
  ok: { label: 'Fine', tone: 'good' },
  warning: { label: 'Warning', tone: 'warn' },
  critical: { label: 'Critical', tone: 'bad' },
  unknown: { label: 'Unknown', tone: 'neutral' },
}

export const CHECKS: Record<Check['name'], string> = {
  presence: 'Presence',
  signal: 'Signal',
  battery: 'Battery',
  errors: 'Errors',
  telemetry: 'Telemetry',
  firmware: 'Firmware',
}

/** What is wrong first, what nothing is known of last. */
export function ordered(checks: readonly Check[]): Check[] {
  const order = { critical: 0, warning: 1, ok: 2, unknown: 3 }
  return [...checks].sort((a, b) => order[a.state] - order[b.state])
}
