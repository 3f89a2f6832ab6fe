import { describe, expect, it } from 'vitest'
import { aligned, broken, change, gapAfterS, NO_POINTS, pointsOfBuckets, pointsOfReadings, sparkline, withLive, type Points } from '@/telemetry/series'

const line = (t: number[], v: (number | null)[]): Points => ({ ...NO_POINTS, t, v })

describe('points', () => {
  it('come in the order of time, booleans as 0 and 1', () => {
    const points = pointsOfReadings([
      { value: true, timestamp: '2026-01-01T00:00:10Z' },
      { value: 3, timestamp: '2026-01-01T00:00:00Z' },
    ])
    expect(points.v).toEqual([3, 1])
    expect(points.t[1]! - points.t[0]!).toBe(10)
  })

  it('of buckets carry their extremes', () => {
    const points = pointsOfBuckets([{ bucket: '1970-01-01T00:01:00Z', avg: 2, min: 1, max: 3, count: 4 }])
    expect(points).toEqual({ t: [60], v: [2], low: [1], high: [3], count: [4] })
  })
})

describe('live points', () => {
  it('are appended when they came after the question', () => {
    const stored = line([1, 2], [10, 20])
    const live = [
      { t: 2, v: 20, arrivedMs: 90 },
      { t: 3, v: 30, arrivedMs: 110 },
    ]
    expect(withLive(stored, live, 100, null)).toMatchObject({ t: [1, 2, 3], v: [10, 20, 30] })
  })

  it('find their place when they are late, and replace their like', () => {
    const stored = line([1, 5], [10, 50])
    const live = [
      { t: 3, v: 30, arrivedMs: 110 },
      { t: 5, v: 51, arrivedMs: 110 },
    ]
    expect(withLive(stored, live, 100, null)).toMatchObject({ t: [1, 3, 5], v: [10, 30, 51] })
  })

  it('are folded into their bucket', () => {
    const stored: Points = { t: [60], v: [10], low: [10], high: [10], count: [1] }
    const live = [
      { t: 70, v: 20, arrivedMs: 110 },
      { t: 125, v: 7, arrivedMs: 111 },
    ]
    expect(withLive(stored, live, 100, 60)).toEqual({ t: [60, 120], v: [15, 7], low: [10, 7], high: [20, 7], count: [2, 1] })
  })

  it('leave what was stored untouched', () => {
    const stored = line([1], [10])
    withLive(stored, [{ t: 2, v: 20, arrivedMs: 110 }], 100, null)
    expect(stored.t).toEqual([1])
  })
})

describe('gaps', () => {
  const paced = (start: number, step: number, count: number) => Array.from({ length: count }, (_, i) => start + i * step)

  it('begin well beyond the usual distance', () => {
    expect(gapAfterS([...paced(0, 10, 20), 500], null)).toBe(25)
    expect(gapAfterS([0, 0.1, 0.2], null)).toBe(3)
    expect(gapAfterS([0, 300, 600], 300)).toBe(750)
  })

  it('do not tear a device apart that has become faster', () => {
    expect(gapAfterS([...paced(0, 10, 50), ...paced(500, 2, 100)], null)).toBe(25)
  })

  it('break the line', () => {
    expect(broken(line([0, 10, 100], [1, 2, 3]), 30)).toMatchObject({ t: [0, 10, 55, 100], v: [1, 2, null, 3] })
  })

  it('are told from places where only another series has a point', () => {
    const [times, a, b] = aligned([
      { t: [0, 10], values: [1, null] },
      { t: [5], values: [2] },
    ])
    expect(times).toEqual([0, 5, 10])
    expect(a).toEqual([1, undefined, null])
    expect(b).toEqual([undefined, 2, undefined])
  })
})

describe('summaries', () => {
  it('tell the change over the span', () => {
    expect(change(line([1, 2, 3], [null, 2, 5]))).toBe(3)
    expect(change(line([1], [2]))).toBeNull()
  })

  it('draw a path that lifts the pen in gaps', () => {
    expect(sparkline(line([0, 10, 100], [0, 10, 5]), 100, 10, 30)).toBe('M0.0 10.0L10.0 0.0M100.0 5.0')
    expect(sparkline(line([0], [1]), 100, 10, 30)).toBe('')
  })
})
