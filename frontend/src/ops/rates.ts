/** The course of the ingest rate, as far as this page has seen it. Pure; times in seconds. */

export interface Sample {
  t: number
  rate: number
}

export const WINDOW_S = 300

/** The samples of the last five minutes with a new one; one that is no newer than the last is the last once more. */
export function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  const last = samples.at(-1)
  if (last && sample.t <= last.t) return [...samples]
  return [...samples.filter(({ t }) => t > sample.t - WINDOW_S), sample]
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** Bytes with three digits, in powers of 1024: "1.46 GiB". */
export function bytesText(bytes: number | null): string {
  if (bytes === null) return 'not known'
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  const value = bytes / 1_024 ** step
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)}\u00a0${UNITS[step]}`
}

/** A rate as people read it: whole above ten, one decimal below. */
export function rateText(perSecond: number): string {
  if (perSecond === 0) return '0'
  if (perSecond < 0.1) return '< 0.1'
  return perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString('en-US').replaceAll(',', '\u202f')
}

/** What is added to the disk a day; less than nothing is nothing. */
export function growthText(perDay: number | null): string {
  if (perDay === null) return 'too early to say'
  return perDay <= 0 ? 'nothing' : bytesText(perDay)
}

/** When the disk is full at this rate: "3 March 2027"; or that it is not, or cannot be told. */
export function fullText(forecast: { bytes_per_day: number | null; full_at: string | null; usable_bytes: number | null }): string {
  if (forecast.full_at !== null) {
    return new Date(forecast.full_at).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
  }
  if (forecast.bytes_per_day === null) return 'too early to say'
  return forecast.usable_bytes === null ? 'not known' : 'not in sight'
}
