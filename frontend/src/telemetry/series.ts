/**
 * Points of a chart: what was stored, with what arrives live put on top, broken where the device was silent, and laid
 * on one common time axis. Pure functions; times in seconds, as uPlot wants them.
 */
import type { Value } from '@/api/types'

export interface Points {
  t: number[]
  v: (number | null)[]
  /** Smallest and largest value of each bucket; empty for readings as they are. */
  low: (number | null)[]
  high: (number | null)[]
  /** How many readings a bucket holds; empty for readings as they are. */
  count: number[]
}

export interface LivePoint {
  t: number
  v: number
  /** When the frame reached this page, in milliseconds. */
  arrivedMs: number
}

export interface Bucket {
  bucket: string
  avg?: number | null
  min?: number | null
  max?: number | null
  count?: number | null
}

export const NO_POINTS: Points = { t: [], v: [], low: [], high: [], count: [] }

export function numeric(value: Value | null | undefined): number | null {
  if (typeof value === 'boolean') return value ? 1 : 0
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** Readings in any order become points in the order of time. */
export function pointsOfReadings(readings: { value: Value | null; timestamp: string }[]): Points {
  const pairs = readings
    .map(({ value, timestamp }) => [Date.parse(timestamp) / 1_000, numeric(value)] as const)
    .sort((a, b) => a[0] - b[0])
  return { ...NO_POINTS, t: pairs.map((pair) => pair[0]), v: pairs.map((pair) => pair[1]) }
}

export function pointsOfBuckets(buckets: Bucket[]): Points {
  const rows = buckets
    .map((row) => ({ at: Date.parse(row.bucket) / 1_000, row }))
    .sort((a, b) => a.at - b.at)
  return {
    t: rows.map(({ at }) => at),
    v: rows.map(({ row }) => row.avg ?? null),
    low: rows.map(({ row }) => row.min ?? null),
    high: rows.map(({ row }) => row.max ?? null),
    count: rows.map(({ row }) => row.count ?? 1),
  }
}

/** Adds what arrived after the stored part was read. Older live points are in the stored part already. */
export function withLive(stored: Points, live: LivePoint[], storedAtMs: number, bucketS: number | null): Points {
  const fresh = live.filter((point) => point.arrivedMs > storedAtMs)
  if (fresh.length === 0) return stored
  const points: Points = {
    t: [...stored.t],
    v: [...stored.v],
    low: [...stored.low],
    high: [...stored.high],
    count: [...stored.count],
  }
  for (const point of fresh) {
    if (bucketS === null) append(points, point)
    else fold(points, point, bucketS)
  }
  return points
}

function append(points: Points, { t, v }: LivePoint): void {
  let at = points.t.length
  while (at > 0 && points.t[at - 1]! > t) at -= 1
  if (points.t[at - 1] === t) {
    points.v[at - 1] = v
    return
  }
  points.t.splice(at, 0, t)
  points.v.splice(at, 0, v)
}

function fold(points: Points, { t, v }: LivePoint, bucketS: number): void {
  const start = Math.floor(t / bucketS) * bucketS
  let at = points.t.length - 1
  while (at >= 0 && points.t[at]! > start) at -= 1
  if (points.t[at] !== start) {
    points.t.splice(at + 1, 0, start)
    points.v.splice(at + 1, 0, v)
    points.low.splice(at + 1, 0, v)
    points.high.splice(at + 1, 0, v)
    points.count.splice(at + 1, 0, 1)
    return
  }
  const count = points.count[at] ?? 1
  const before = points.v[at]
  points.v[at] = before == null ? v : (before * count + v) / (count + 1)
  points.low[at] = Math.min(points.low[at] ?? v, v)
  points.high[at] = Math.max(points.high[at] ?? v, v)
  points.count[at] = count + 1
}

/**
 * From which distance on two points are not joined: well beyond what nine of ten distances are, so that a device that
 * changed its pace is not torn apart, and never for less than 3 s.
 */
export function gapAfterS(times: number[], bucketS: number | null): number {
  if (times.length < 3) return bucketS === null ? Infinity : Math.max(bucketS * 3, 90)
  const steps: number[] = []
  for (let i = 1; i < times.length; i += 1) steps.push(times[i]! - times[i - 1]!)
  steps.sort((a, b) => a - b)
  const usual = steps[Math.floor(steps.length * 0.9)]!
  return Math.max(2.5 * usual, 3, bucketS === null ? 0 : bucketS * 1.5)
}

/** Puts a null between points that are too far apart, so that the line breaks there. */
export function broken(points: Points, gapS: number): Points {
  const result: Points = { t: [], v: [], low: [], high: [], count: [] }
  points.t.forEach((t, i) => {
    const before = points.t[i - 1]
    if (before !== undefined && t - before > gapS) push(result, (before + t) / 2, null, null, null)
    push(result, t, points.v[i] ?? null, points.low[i] ?? null, points.high[i] ?? null)
  })
  return result
}

function push(points: Points, t: number, v: number | null, low: number | null, high: number | null): void {
  points.t.push(t)
  points.v.push(v)
  points.low.push(low)
  points.high.push(high)
}

export type Column = (number | null | undefined)[]

/** One common time axis. `undefined` means "no point here, go on drawing", `null` means "the line ends here". */
export function aligned(columns: { t: number[]; values: Column }[]): [number[], ...Column[]] {
  const times = [...new Set(columns.flatMap((column) => column.t))].sort((a, b) => a - b)
  const place = new Map(times.map((t, i) => [t, i]))
  const result = columns.map(({ t, values }) => {
    const column: Column = new Array(times.length).fill(undefined)
    t.forEach((at, i) => {
      column[place.get(at)!] = values[i]
    })
    return column
  })
  return [times, ...result]
}

/** First and last value of a span and their difference; null when there is nothing to compare. */
export function change(points: Points): number | null {
  const known = points.v.filter((value): value is number => value !== null)
  if (known.length < 2) return null
  return known.at(-1)! - known[0]!
}

/** An SVG path through the points, in a box of the given size. Empty when there is no line to draw. */
export function sparkline(points: Points, width: number, height: number, gapS: number): string {
  const known = points.t.flatMap((t, i) => (points.v[i] == null ? [] : [{ t, v: points.v[i]! }]))
  if (known.length < 2) return ''
  const start = known[0]!.t
  const length = known.at(-1)!.t - start || 1
  const low = Math.min(...known.map((point) => point.v))
  const extent = Math.max(...known.map((point) => point.v)) - low
  let previous = -Infinity
  return known
    .map(({ t, v }) => {
      const x = ((t - start) / length) * width
      const y = extent === 0 ? height / 2 : height - ((v - low) / extent) * height
      const pen = t - previous > gapS ? 'M' : 'L'
      previous = t
      return `${pen}${x.toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
}
