/** What the operations pages ask. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/vue-query'
import type { Ref } from 'vue'
import { client, openClient } from '@/api/client'
import { ApiProblem } from '@/api/problems'
import type { components } from '@/api/schema'

type Schemas = components['schemas']
export type Overview = Schemas['Overview']
export type House = Schemas['HouseRead']
export type Failure = Schemas['FailureRead']

export interface Check {
  name: string
  ok: boolean
  detail: string
}

export const OVERVIEW_MS = 3_000
const READINESS_MS = 10_000
const HOUSES_MS = 20_000
const PAGE = 50
const CHECKS = ['database', 'log', 'disk', 'clock']

export function useOverview() {
  return useQuery({
    queryKey: ['ops', 'overview'],
    queryFn: async ({ signal }) => (await client.GET('/api/v1/ops/overview', { signal })).data!,
    refetchInterval: OVERVIEW_MS,
    staleTime: 0,
  })
}

export function useReadiness() {
  return useQuery({
    queryKey: ['ops', 'readiness'],
    queryFn: async ({ signal }): Promise<Check[]> => {
      try {
        const { data } = await openClient.GET('/api/v1/readyz', { signal })
        return named(data!.checks)
      } catch (error) {
        if (error instanceof ApiProblem && error.code === 'not_ready') return failing(error)
        throw error
      }
    },
    refetchInterval: READINESS_MS,
    staleTime: 0,
  })
}

/** The known ones first, in their own order; then what later hubs may add. */
function named(checks: Record<string, { ok: boolean; detail: string }>): Check[] {
  const names = [...CHECKS.filter((name) => name in checks), ...Object.keys(checks).filter((name) => !CHECKS.includes(name))]
  return names.map((name) => ({ name, ...checks[name]! }))
}

/** A hub that is not ready names what is missing; the rest was found in order. */
function failing(problem: ApiProblem): Check[] {
  const names = [...new Set([...CHECKS, ...Object.keys(problem.fields)])]
  return names.map((name) => ({ name, ok: !(name in problem.fields), detail: problem.fields[name] ?? 'In order.' }))
}

export function useHouses(words: Ref<string>, organization: Ref<number | null>) {
  return useInfiniteQuery({
    queryKey: ['ops', 'houses', words, organization],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: PAGE, ...(words.value ? { q: words.value } : {}), ...(organization.value ? { organization_id: organization.value } : {}), ...(pageParam ? { cursor: pageParam } : {}) }
      const { data, response } = await client.GET('/api/v1/ops/houses', { params: { query }, signal })
      return { houses: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: HOUSES_MS,
  })
}
