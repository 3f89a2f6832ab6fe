/** Moments in the reader's own language and time zone. */

const full = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeStyle: 'long',
})
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const hour = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const dayAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})

const dayAndMinute = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

export const absolute = (ms: number): string => full.format(ms)
export const clockTime = (ms: number): string => clock.format(ms)
export const dateOnly = (ms: number): string => dayAndYear.format(ms)
export const dateAndTime = (ms: number): string => dayAndClock.format(ms)
export const minuteTime = (ms: number): string => dayAndMinute.format(ms)

/** What a field for a local date and time holds, `2026-01-31T12:00:00`, and back; in seconds, NaN for what is no time. */
export function toLocalInput(seconds: number): string {
  const at = new Date(Math.round(seconds) * 1_000)
  const two = (part: number) => String(part).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}
export const fromLocalInput = (text: string): number => new Date(text).getTime() / 1_000

/** Labels for a time axis: the finest unit that the steps need, the day where it begins. Times in seconds. */
export function axisLabels(splits: number[], stepS: number): string[] {
  let shown = ''
  return splits.map((at) => {
    const today = day.format(at * 1_000)
    if (stepS >= 86_400) return today
    const time = (stepS < 60 ? clock : hour).format(at * 1_000)
    const label = today === shown || splits.length < 2 ? time : `${time}\n${today}`
    shown = today
    return label
  })
}
