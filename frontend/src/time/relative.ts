/** How long ago something was, as a person says it. Pure; times in milliseconds. */

const MINUTE = 60
const HOUR = 3_600
const DAY = 86_400

export function ago(thenMs: number, nowMs: number): string {
  const seconds = Math.round((nowMs - thenMs) / 1_000)
  if (seconds < -60) return `in ${span(-seconds)}`
  if (seconds < 3) return 'just now'
  return `${span(seconds)} ago`
}

export function span(seconds: number): string {
  if (seconds < MINUTE) return `${Math.floor(seconds)} s`
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h`
  const days = Math.floor(seconds / DAY)
  if (days < 60) return days === 1 ? '1 day' : `${days} days`
  const months = Math.floor(days / 30.44)
  if (days < 730) return `${months} months`
  return `${Math.floor(days / 365.25)} years`
}

/** Minutes and seconds until a moment: 9:05. Never negative. */
export function countdown(untilMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.ceil((untilMs - nowMs) / 1_000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
