/** What the audit page asks: of the whole installation, or of one organization, as the caller may. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/vue-query'
import type { Ref } from 'vue'
import { client } from '@/api/client'
import { PERIODS } from './words'

const PAGE = 50
const FOLLOW_MS = 15_000
const HOUR_MS = 3_600_000
const MOST = 500

/** Empty text means: not asked for. `place`: an organization's id, or empty for everywhere. */
export interface AuditFilter {
  actor: string
  action: string
  outcome: string
  period: string
  address: string
  object_kind: string
  object_id: string
  actor_id: string
  place: string
}

type Outcome = 'success' | 'refused' | 'failed'

interface Wanted {
  actor?: string
  action?: string
  outcome?: Outcome
  address?: string
  object_kind?: string
  object_id?: string
  actor_id?: number
  from?: string
}

function wanted(filter: AuditFilter): Wanted {
  const hours = PERIODS.find(({ value }) => value === filter.period)?.hours
  return {
    ...(filter.actor ? { actor: filter.actor } : {}),
    ...(filter.action ? { action: filter.action } : {}),
    ...(filter.outcome ? { outcome: filter.outcome as Outcome } : {}),
    ...(filter.address ? { address: filter.address } : {}),
    ...(filter.object_kind ? { object_kind: filter.object_kind } : {}),
    ...(filter.object_id ? { object_id: filter.object_id } : {}),
    ...(filter.actor_id ? { actor_id: Number(filter.actor_id) } : {}),
    ...(hours ? { from: new Date(Date.now() - hours * HOUR_MS).toISOString() } : {}),
  }
}

/** `everywhere`: whether the caller reads the whole installation's log, and so filters by organization. */
export function useAudit(filter: Ref<AuditFilter>, everywhere: Ref<boolean>, enabled: Ref<boolean>) {
  return useInfiniteQuery({
    queryKey: ['audit', filter, everywhere],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...wanted(filter.value), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const organization_id = Number(filter.value.place)
      const { data, response } = everywhere.value
        ? await client.GET('/api/v1/ops/audit', { params: { query: { ...query, ...(organization_id ? { organization_id } : {}) } }, signal })
        : await client.GET('/api/v1/organizations/{organization_id}/audit', { params: { path: { organization_id }, query }, signal })
      return { entries: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    // Somebody who reads far down does not want the list to move.
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 1 ? false : FOLLOW_MS),
    enabled,
  })
}

export function exportPath(filter: AuditFilter, everywhere: boolean, format: 'csv' | 'jsonl'): string {
  const query = new URLSearchParams({ ...wanted(filter), format } as unknown as Record<string, string>)
  if (everywhere && filter.place) query.set('organization_id', filter.place)
  return `${everywhere ? '/ops' : `/organizations/${filter.place}`}/audit/export?${query}`
}

/** All organizations by name, for those who see all. */
export function useOrganizationNames(enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['organizations', 'names'],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/organizations', { params: { query: { limit: MOST } }, signal })
      return (data ?? []).map(({ id, name }) => ({ id, name }))
    },
    enabled,
  })
}
