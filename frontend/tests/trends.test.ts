import { describe, expect, it } from 'vitest'
import { customRange, queryOf, rangeById, rangeOf, windowStart } from '@/telemetry/ranges'
import { fromLocalInput, toLocalInput } from '@/time/format'
import { chartSeries, linesOf } from '@/trends/lines'
import type { Trend } from '@/trends/queries'

const START = Date.UTC(2026, 0, 1) / 1_000

describe('a stretch of time of one’s own', () => {
  it('has as many buckets as a chart can show, or the readings themselves', () => {
    expect(customRange(START, START + 900)!.bucketS).toBeNull()
    expect(customRange(START, START + 86_400)!.bucketS).toBe(300)
    expect(customRange(START, START + 365 * 86_400)!.bucketS).toBe(86_400)
    expect(customRange(START, START + 20 * 365 * 86_400)!.bucketS).toBe(604_800)
  })

  it('is refused where there is none', () => {
    expect(customRange(START, START)).toBeNull()
    expect(customRange(START + 60, START)).toBeNull()
    expect(customRange(NaN, START)).toBeNull()
  })

  it('stays where it is, whatever the time', () => {
    const range = customRange(START, START + 7_200)!
    expect(windowStart(START + 1e6, range, 0)).toBe(START)
  })

  it('is kept in the address, as every other range', () => {
    const range = customRange(START, START + 7_200)!
    expect(rangeOf(queryOf(range))).toEqual(range)
    expect(rangeOf(queryOf(rangeById('1y')))).toBe(rangeById('1y'))
    expect(rangeOf({ range: 'custom', from: 'x', to: '5' }, rangeById('7d'))).toBe(rangeById('7d'))
    expect(rangeOf({})).toBe(rangeById('15m'))
  })

  it('is typed as local time', () => {
    expect(fromLocalInput(toLocalInput(START + 12))).toBe(START + 12)
    expect(fromLocalInput('')).toBeNaN()
  })
})

describe('lines of many devices', () => {
  const row = (part: Partial<Trend>): Trend => ({ sensor_type: 'power', unit: 'W', bucket: '2026-01-01T00:00:00Z', devices: 1, ...part })
  const names = new Map([[3, 'North']])

  it('are one for each group, the busiest first', () => {
    const rows = [row({ home_id: 3, count: 1 }), row({ home_id: null, count: 7 }), row({ home_id: 4, count: 2 }), row({ home_id: 3, count: 4 })]
    expect(linesOf(rows, 'home', (id) => names.get(id)).map(({ name, readings }) => [name, readings])).toEqual([
      ['In no home', 7],
      ['North', 5],
      ['Home 4', 2],
    ])
    expect(linesOf([row({ device_type: null, count: 1 })], 'type', () => undefined)[0]!.name).toBe('Without a type')
    expect(linesOf([row({ count: 1 })], 'all', () => undefined)[0]!.name).toBe('All devices')
  })

  it('carry their extremes', () => {
    const [line] = linesOf([row({ avg: 2, min: 1, max: 3, count: 4 })], 'all', () => undefined)
    expect(chartSeries(line!, 'W', '#000000', 60).points).toEqual({ t: [START], v: [2], low: [1], high: [3], count: [4] })
  })
})
