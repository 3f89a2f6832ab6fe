/** Policies in words. Pure. */
import type { components } from '@/api/schema'

interface About {
  device_type: string | null
  key_pattern: string | null
}
export type ThenKeep = components['schemas']['ThenKeep']
export type Bucket = ThenKeep['bucket']

export const BUCKETS: { value: Bucket; label: string }[] = [
  { value: '1m', label: '1 minute' },
  { value: '5m', label: '5 minutes' },
  { value: '10m', label: '10 minutes' },
  { value: '15m', label: '15 minutes' },
  { value: '30m', label: '30 minutes' },
  { value: '1h', label: '1 hour' },
  { value: '2h', label: '2 hours' },
  { value: '3h', label: '3 hours' },
  { value: '6h', label: '6 hours' },
  { value: '12h', label: '12 hours' },
  { value: '1d', label: '1 day' },
]

export function aboutText({ device_type, key_pattern }: About): string {
  const what = key_pattern === null ? 'Everything' : key_pattern
  return device_type === null ? what : `${what} from devices of type ${device_type}`
}

export function keptText(days: number | null): string {
  if (days === null) return 'for ever'
  return days === 1 ? '1 day' : `${days} days`
}

/** What stays of readings when they go. */
export function thenText({ bucket, for_days }: ThenKeep): string {
  const width = BUCKETS.find(({ value }) => value === bucket)?.label ?? bucket
  return `then buckets of ${width}, ${for_days === null ? 'for ever' : `${keptText(for_days)} more`}`
}

/** A number of days as it was typed: undefined when it cannot be one. */
export function daysOf(text: string): number | undefined {
  const days = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0
  return days >= 1 && days <= 36_500 ? days : undefined
}
