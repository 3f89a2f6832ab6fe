/** How far back a chart looks, and how finely. A bucket of null asks for the readings themselves, peaks kept. */
import { dateOnly, minuteTime } from '@/time/format'

export interface Range {
  id: string
  label: string
  name: string
  seconds: number
  bucketS: number | null
  /** Where a stretch ends that does not go on with time, in seconds; null for one that ends now. */
  endS: number | null
}

const upToNow = (id: string, label: string, name: string, seconds: number, bucketS: number | null): Range => ({ id, label, name, seconds, bucketS, endS: null })

export const RANGES: readonly [Range, ...Range[]] = [
  upToNow('15m', '15 min', 'last 15 minutes', 900, null),
  upToNow('1h', '1 h', 'last hour', 3_600, 10),
  upToNow('24h', '24 h', 'last 24 hours', 86_400, 300),
  upToNow('7d', '7 d', 'last 7 days', 604_800, 1_800),
  upToNow('30d', '30 d', 'last 30 days', 2_592_000, 7_200),
  upToNow('1y', '1 y', 'last year', 31_536_000, 43_200),
]

export const CUSTOM = 'custom'
const SHORTEST_S = 10
const LONGEST_S = 100 * 366 * 86_400
const MOST_BUCKETS = 600
const RAW_UP_TO_S = 1_800
const WIDTHS_S = [10, 30, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800]

/** The narrowest of the usual widths, in seconds, of which no more than `most` fit in. */
export function widthFor(seconds: number, most: number): number {
  return WIDTHS_S.find((width) => seconds / width <= most) ?? WIDTHS_S.at(-1)!
}

/** A stretch of time of one's own, in seconds; null when there is none between the two. */
export function customRange(fromS: number, toS: number): Range | null {
  const seconds = toS - fromS
  if (!(seconds >= SHORTEST_S && seconds <= LONGEST_S && fromS >= 0)) return null
  const bucketS = seconds <= RAW_UP_TO_S ? null : widthFor(seconds, MOST_BUCKETS)
  const words = seconds < 2 * 86_400 ? minuteTime : dateOnly
  return { id: CUSTOM, label: 'Custom', name: `${words(fromS * 1_000)} – ${words(toS * 1_000)}`, seconds, bucketS, endS: toS }
}

export function rangeById(id: string | null | undefined): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[0]
}

export interface RangeQuery {
  range?: unknown
  from?: unknown
  to?: unknown
}

/** The range that a page's address names: a known one, or `custom` with `from` and `to` in seconds. */
export function rangeOf(query: RangeQuery, otherwise = RANGES[0]): Range {
  if (query.range === CUSTOM) return customRange(Number(query.from), Number(query.to)) ?? otherwise
  return RANGES.find((range) => range.id === query.range) ?? otherwise
}

/** What the page's address says of a range; `undefined` takes a word out of it. */
export function queryOf(range: Range): Record<'range' | 'from' | 'to', string | undefined> {
  if (range.endS === null) return { range: range.id, from: undefined, to: undefined }
  return { range: range.id, from: String(Math.round(range.endS - range.seconds)), to: String(Math.round(range.endS)) }
}

const SHORTEST_WINDOW_S = 60
const LEAD_S = 5
const LONGEST_FITTED_S = 3_600

/**
 * Where the window begins, in seconds. A short range of a device that is younger than it begins with the device, so
 * that its first minutes are not squeezed into a corner.
 */
export function windowStart(nowS: number, range: Range, beganS: number): number {
  if (range.endS !== null) return range.endS - range.seconds
  const start = nowS - range.seconds
  if (range.seconds > LONGEST_FITTED_S) return start
  return Math.max(start, Math.min(beganS - LEAD_S, nowS - SHORTEST_WINDOW_S))
}
