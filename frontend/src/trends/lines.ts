/** From trends to the lines of a chart. Pure. */
import type { ChartSeries } from '@/telemetry/chart'
import { gapAfterS, pointsOfBuckets, type Bucket } from '@/telemetry/series'
import type { Grouping, Trend } from './queries'

const FIELDS = { home: 'home_id', type: 'device_type', device: 'device_id' } as const

interface Line {
  name: string
  rows: Trend[]
  readings: number
}

/** A line for each group, those with the most readings first. `nameOf` has the names of homes and devices by number. */
export function linesOf(rows: Trend[], by: Grouping, nameOf: (id: number) => string | undefined): Line[] {
  const lines = new Map<string, Line>()
  for (const row of rows) {
    const name = nameOfGroup(row, by, nameOf)
    const line = lines.get(name) ?? { name, rows: [], readings: 0 }
    line.rows.push(row)
    line.readings += row.count ?? 0
    lines.set(name, line)
  }
  return [...lines.values()].sort((a, b) => b.readings - a.readings)
}

function nameOfGroup(row: Trend, by: Grouping, nameOf: (id: number) => string | undefined): string {
  if (by === 'all') return 'All devices'
  const value = row[FIELDS[by]]
  if (typeof value === 'number') return nameOf(value) ?? `${by === 'home' ? 'Home' : 'Device'} ${value}`
  return value ?? (by === 'home' ? 'In no home' : 'Without a type')
}

export function chartSeries(line: Line, unit: string | null, colour: string, bucketS: number): ChartSeries {
  const points = pointsOfBuckets(line.rows as Bucket[])
  return { key: line.name, label: line.name, unit, colour, steps: false, points, gapS: gapAfterS(points.t, bucketS) }
}
