/** Which series come first, and which the chart shows when nobody has chosen. Pure. */
import type { Reading } from '@/api/types'

const FIRST = [/temp/i, /hum/i, /cpu|load/i, /mem|ram/i, /disk/i, /power|watt|_w$/i, /batt?/i, /press/i, /co2/i]
const SHOWN_AT_FIRST = 2

function rank(key: string): number {
  const place = FIRST.findIndex((pattern) => pattern.test(key))
  return place < 0 ? FIRST.length : place
}

export function inOrder(readings: Reading[]): Reading[] {
  return [...readings].sort(
    (a, b) => rank(a.sensor_type) - rank(b.sensor_type) || a.sensor_type.localeCompare(b.sensor_type),
  )
}

export function firstChoice(readings: Reading[]): string[] {
  return readings.slice(0, SHOWN_AT_FIRST).map((reading) => reading.sensor_type)
}
