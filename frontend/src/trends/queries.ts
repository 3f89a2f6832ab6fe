/** What the page about all devices asks. */
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client } from '@/api/client'
import type { components } from '@/api/schema'
import { ofOrganization } from '@/organizations/current'
import { spanOf } from '@/telemetry/queries'
import { queryOf, widthFor, type Range } from '@/telemetry/ranges'

export type Summary = components['schemas']['SummaryOut']
export type DeviceSummary = components['schemas']['DeviceSummaryOut']
export type Trend = components['schemas']['TrendOut']
export type Grouping = 'all' | 'home' | 'type' | 'device'

const FOLLOW_MS = 120_000
const NAMED_DEVICES = 500
const MOST_STRETCHES = 100

/** The stretches that completeness is told in: some tens of them, of a width that people think in. */
export const stretchOf = (range: Range): number => widthFor(range.seconds, MOST_STRETCHES)

export function useSummary(range: Ref<Range>) {
  return useQuery({
    queryKey: computed(() => ['trends', 'summary', queryOf(range.value), ofOrganization.value]),
    queryFn: async ({ signal }): Promise<Summary> => {
      const query = { ...spanOf(range.value), ...ofOrganization.value, worst: NAMED_DEVICES, bucket: `${stretchOf(range.value)}s` }
      return (await client.GET('/api/v1/analytics/summary', { params: { query }, signal })).data!
    },
    placeholderData: keepPreviousData,
    refetchInterval: FOLLOW_MS,
  })
}

/** Buckets of one series; nothing is asked while there is none. */
export function useTrends(range: Ref<Range>, key: Ref<string | null>, by: Ref<Grouping>) {
  return useQuery({
    queryKey: computed(() => ['trends', 'buckets', queryOf(range.value), key.value, by.value, ofOrganization.value]),
    queryFn: async ({ signal }): Promise<Trend[]> => {
      const bucket = range.value.bucketS === null ? '10s' : `${range.value.bucketS}s`
      const what = { sensor_type: [key.value!], by: by.value, bucket, agg: 'avg,min,max,count' }
      const query = { ...spanOf(range.value), ...ofOrganization.value, ...what }
      return (await client.GET('/api/v1/analytics/trends', { params: { query }, signal })).data ?? []
    },
    enabled: computed(() => key.value !== null),
    placeholderData: keepPreviousData,
    refetchInterval: FOLLOW_MS,
  })
}
