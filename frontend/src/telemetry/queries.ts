/** What the pages ask about telemetry. */
import { useQueries, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client } from '@/api/client'
import type { Bucket, Points } from './series'
import { pointsOfBuckets, pointsOfReadings } from './series'
import type { Reading } from '@/api/types'
import type { Range } from './ranges'

const RAW_PAGE = 500
const RAW_PAGES = 4
export const SPARK_SPAN_S = 3_600
export const SPARK_BUCKET_S = 60

export interface Stored {
  points: Points
  /** When the question was asked, in milliseconds: what arrives later is not in it. */
  askedAt: number
}

export function useLatest(id: Ref<number>) {
  return useQuery({
    queryKey: ['telemetry', 'latest', id],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/devices/{device_id}/readings/latest', {
        params: { path: { device_id: id.value } },
        signal,
      })
      return (data ?? []) as Reading[]
    },
  })
}

export function useLastReadings(id: Ref<number>, limit: number) {
  return useQuery({
    queryKey: ['telemetry', 'last', id],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/devices/{device_id}/readings', {
        params: { path: { device_id: id.value }, query: { limit } },
        signal,
      })
      return (data ?? []) as Reading[]
    },
  })
}

/** The last hour of every series by the minute: for the small lines in the cards. */
export function useSparks(id: Ref<number>) {
  return useQuery({
    queryKey: ['telemetry', 'sparks', id],
    queryFn: async ({ signal }) => {
      const query = { from: startOf(SPARK_SPAN_S), bucket: `${SPARK_BUCKET_S}s`, agg: 'avg' }
      const { data } = await client.GET('/api/v1/devices/{device_id}/readings', {
        params: { path: { device_id: id.value }, query },
        signal,
      })
      const byKey = new Map<string, Bucket[]>()
      for (const row of (data ?? []) as (Bucket & { sensor_type: string })[]) {
        const rows = byKey.get(row.sensor_type)
        if (rows) rows.push(row)
        else byKey.set(row.sensor_type, [row])
      }
      return new Map([...byKey].map(([key, rows]) => [key, pointsOfBuckets(rows)]))
    },
    refetchInterval: 60_000,
  })
}

/** The stored points of each of the keys, in their order. */
export function useHistory(id: Ref<number>, keys: Ref<string[]>, range: Ref<Range>) {
  return useQueries({
    queries: computed(() =>
      keys.value.map((key) => ({
        queryKey: ['telemetry', 'history', id.value, range.value.id, key],
        queryFn: ({ signal }: { signal: AbortSignal }) => readHistory(id.value, key, range.value, signal),
        staleTime: 30_000,
        refetchInterval: range.value.bucketS === null ? (false as const) : 120_000,
      })),
    ),
  })
}

async function readHistory(id: number, key: string, range: Range, signal: AbortSignal): Promise<Stored> {
  const askedAt = Date.now()
  const from = startOf(range.seconds)
  if (range.bucketS === null) return { points: pointsOfReadings(await readRaw(id, key, from, signal)), askedAt }
  const query = { sensor_type: [key], from, bucket: `${range.bucketS}s`, agg: 'avg,min,max,count' }
  const { data } = await client.GET('/api/v1/devices/{device_id}/readings', {
    params: { path: { device_id: id }, query },
    signal,
  })
  return { points: pointsOfBuckets((data ?? []) as Bucket[]), askedAt }
}

async function readRaw(id: number, key: string, from: string, signal: AbortSignal): Promise<Reading[]> {
  const readings: Reading[] = []
  let cursor: string | null | undefined
  for (let page = 0; page < RAW_PAGES; page += 1) {
    const query = { sensor_type: [key], from, limit: RAW_PAGE, ...(cursor ? { cursor } : {}) }
    const { data, response } = await client.GET('/api/v1/devices/{device_id}/readings', {
      params: { path: { device_id: id }, query },
      signal,
    })
    readings.push(...((data ?? []) as Reading[]))
    cursor = response.headers.get('X-Next-Cursor')
    if (!cursor) break
  }
  return readings
}

function startOf(spanS: number): string {
  return new Date(Date.now() - spanS * 1_000).toISOString()
}

export function useEvents(id: Ref<number>) {
  return useQuery({
    queryKey: ['telemetry', 'events', id],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/events', {
        params: { query: { device_id: id.value, limit: 100 } },
        signal,
      })
      return data ?? []
    },
    refetchInterval: 5_000,
  })
}
