/** What a device shall be and says it is. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { onScopeDispose, type Ref } from 'vue'
import { client } from '@/api/client'
import type { Document } from '@/api/documents'
import type { components } from '@/api/schema'
import { LiveSocket } from '@/live/socket'

type Schemas = components['schemas']
export type Shadow = Omit<Schemas['ShadowOut'], 'desired' | 'reported' | 'delta'> & Record<'desired' | 'reported' | 'delta', Document>
export type ShadowChange = Omit<Schemas['ShadowChangeOut'], 'patch'> & { patch: Document }

const PAGE = 20
// The socket tells of changes; this is for those that it missed.
const FOLLOW_MS = 30_000

export function useShadow(deviceId: Ref<number>) {
  return useQuery({
    queryKey: ['shadow', 'one', deviceId],
    queryFn: async ({ signal }) => {
      const params = { path: { device_id: deviceId.value } }
      return (await client.GET('/api/v1/devices/{device_id}/shadow', { params, signal })).data! as Shadow
    },
    refetchInterval: FOLLOW_MS,
  })
}

export function useShadowChanges(deviceId: Ref<number>) {
  return useInfiniteQuery({
    queryKey: ['shadow', 'changes', deviceId],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const params = { path: { device_id: deviceId.value }, query }
      const { data, response } = await client.GET('/api/v1/devices/{device_id}/shadow/changes', { params, signal })
      return { changes: (data ?? []) as ShadowChange[], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
  })
}

/** Sets `desired` as a whole; fails with 409 when it is no longer at `version`. */
export function useDesire(deviceId: Ref<number>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (wish: { desired: Document; version: number }) => {
      const params = { path: { device_id: deviceId.value } }
      return (await client.PUT('/api/v1/devices/{device_id}/shadow', { params, body: wish })).data! as Shadow
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['shadow'] }),
  })
}

/** Asks again whenever either side changes. */
export function useShadowFeed(deviceId: number): void {
  const queries = useQueryClient()
  const renew = () => void queries.invalidateQueries({ queryKey: ['shadow'] })
  const socket = new LiveSocket<{ type: string }>(`/ws/device-shadow?device_id=${deviceId}`, {
    frame: renew,
    // What happened between the page's own question and this moment, nobody was told.
    ready: renew,
  })
  onScopeDispose(() => socket.close())
}
