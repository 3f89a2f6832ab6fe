/** What the pages ask about telemetry. */
import { useQueries, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client } from '@/api/client'
import type { Bucket, Points } from './series'
import { pointsOfBuckets, pointsOfReadings } from './series'
import type { Reading } from '@/api/types'
import { queryOf, type Range } from './ranges'

const MOST_POINTS = 2_000
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
        queryKey: ['telemetry', 'history', id.value, queryOf(range.value), key],
        queryFn: ({ signal }: { signal: AbortSignal }) => readHistory(id.value, key, range.value, signal),
        staleTime: 30_000,
        refetchInterval: range.value.bucketS === null || range.value.endS !== null ? (false as const) : 120_000,
      })),
    ),
  })
}

async function readHistory(id: number, key: string, range: Range, signal: AbortSignal): Promise<Stored> {
  const askedAt = Date.now()
  const how = range.bucketS === null ? { points: MOST_POINTS } : { bucket: `${range.bucketS}s`, agg: 'avg,min,max,count' }
  const { data } = await client.GET('/api/v1/devices/{device_id}/readings', {
    params: { path: { device_id: id }, query: { sensor_type: [key], ...spanOf(range), ...how } },
    signal,
  })
  const points = range.bucketS === null ? pointsOfReadings((data ?? []) as Reading[]) : pointsOfBuckets((data ?? []) as Bucket[])
  return { points, askedAt }
}

/** The words of the API for a range. */
export function spanOf(range: Range): { from: string; to?: string } {
  if (range.endS === null) return { from: startOf(range.seconds) }
  return { from: new Date((range.endS - range.seconds) * 1_000).toISOString(), to: new Date(range.endS * 1_000).toISOString() }
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
