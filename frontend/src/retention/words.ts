/** Policies in words. Pure. */

interface About {
  device_type: string | null
  key_pattern: string | null
}

export function aboutText({ device_type, key_pattern }: About): string {
  const what = key_pattern === null ? 'Everything' : key_pattern
  return device_type === null ? what : `${what} from devices of type ${device_type}`
}

export function keptText(days: number | null): string {
  if (days === null) return 'for ever'
  return days === 1 ? '1 day' : `${days} days`
}

/** A number of days as it was typed: undefined when it cannot be one. */
export function daysOf(text: string): number | undefined {
  const days = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0
  return days >= 1 && days <= 36_500 ? days : undefined
}
