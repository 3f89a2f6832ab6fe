/** How far back a chart looks, and how finely. A bucket of null asks for the readings themselves. */

export interface Range {
  id: string
  label: string
  name: string
  seconds: number
  bucketS: number | null
}

export const RANGES: readonly [Range, ...Range[]] = [
  { id: '15m', label: '15 min', name: 'last 15 minutes', seconds: 900, bucketS: null },
  { id: '1h', label: '1 h', name: 'last hour', seconds: 3_600, bucketS: 10 },
  { id: '24h', label: '24 h', name: 'last 24 hours', seconds: 86_400, bucketS: 300 },
  { id: '7d', label: '7 d', name: 'last 7 days', seconds: 604_800, bucketS: 1_800 },
  { id: '30d', label: '30 d', name: 'last 30 days', seconds: 2_592_000, bucketS: 7_200 },
]

export function rangeById(id: string | null | undefined): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[0]
}

const SHORTEST_WINDOW_S = 60
const LEAD_S = 5
const LONGEST_FITTED_S = 3_600

/**
 * Where the window begins, in seconds. A short range of a device that is younger than it begins with the device, so
 * that its first minutes are not squeezed into a corner.
 */
export function windowStart(nowS: number, range: Range, beganS: number): number {
  const start = nowS - range.seconds
  if (range.seconds > LONGEST_FITTED_S) return start
  return Math.max(start, Math.min(beganS - LEAD_S, nowS - SHORTEST_WINDOW_S))
}
